/* The physical limit: the float32 Adamax step as a C loop, and a pure stream of the same reads and writes.
 *
 *   step <adamax|stream> <tensors> <parameters in each> <threads>
 *
 * reads commands, one a line, and answers each with one line:
 *   run <repeats> <learning rate> <1 - beta1> <beta2> <bias correction> <epsilon>
 *                   -> <wall nanoseconds> <processor nanoseconds>, of all repeats together
 *   hash            -> FNV-1a over the bits of every w: shows that two sides compute the same
 *
 * Built with -ffp-contract=off: each operation rounds once, as in every backend of ours. (Fused or not makes no difference to the
 * time that was measurable.) The values lie in ordinary memory, 64-byte aligned; no large pages are asked for, as WebAssembly asks for none. */

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { float *w, *g, *m, *u; } Tensor;
typedef struct { float learning_rate, one_minus_beta1, beta2, bias_correction, epsilon; } Scalars;

static Tensor *tensors;
static long tensor_count, length;
static int thread_count, is_stream;
static Scalars scalars;
static long repeats;
static atomic_long arrived; /* threads at the end of a step, counted over all steps */

static void adamax(float *restrict w, const float *restrict g, float *restrict m, float *restrict u, long n, Scalars s) {
  for (long i = 0; i < n; i++) {
    float decayed = s.beta2 * u[i], magnitude = fabsf(g[i]);
    m[i] += (g[i] - m[i]) * s.one_minus_beta1;
    u[i] = decayed > magnitude ? decayed : magnitude; /* does not keep every NaN: that makes the limit only faster */
    w[i] -= s.learning_rate * m[i] / (s.bias_correction * (u[i] + s.epsilon));
  }
}

/* Four reads and three writes per element, one addition each: what memory alone allows. */
static void stream(float *restrict w, const float *restrict g, float *restrict m, float *restrict u, long n) {
  for (long i = 0; i < n; i++) {
    w[i] += g[i];
    m[i] += g[i];
    u[i] += g[i];
  }
}

/* The share of `thread` in every tensor, on edges of 16 elements. */
static void step(int thread) {
  for (long t = 0; t < tensor_count; t++) {
    long per_thread = (length / thread_count + 15) / 16 * 16;
    long begin = thread * per_thread, end = thread == thread_count - 1 ? length : begin + per_thread;
    if (begin >= length) continue;
    Tensor x = tensors[t];
    if (is_stream) stream(x.w + begin, x.g + begin, x.m + begin, x.u + begin, end - begin);
    else adamax(x.w + begin, x.g + begin, x.m + begin, x.u + begin, end - begin, scalars);
  }
}

static void *work(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (long k = 1; k <= repeats; k++) {
    step(thread);
    if (thread_count == 1) continue;
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < k * thread_count) { /* spins: the cheapest barrier there is */ }
  }
  return NULL;
}

static double nanoseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

/* The same numbers as bench/model.ts makes: uniform in [-0.5, 0.5), exact in float32. */
static float *fill(long n, uint32_t seed, int zero) {
  float *values = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
  if (!values) exit(1);
  for (long i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = zero ? 0.0f : (float)(seed >> 8) / 16777216.0f - 0.5f;
  }
  return values;
}

int main(int count, char **arguments) {
  if (count != 5) return fprintf(stderr, "usage: step <adamax|stream> <tensors> <parameters in each> <threads>\n"), 2;
  is_stream = strcmp(arguments[1], "stream") == 0;
  tensor_count = atol(arguments[2]);
  length = atol(arguments[3]);
  thread_count = atoi(arguments[4]);
  tensors = calloc(tensor_count, sizeof(Tensor));
  for (long t = 0; t < tensor_count; t++)
    tensors[t] = (Tensor){fill(length, 2 * t + 1, 0), fill(length, 2 * t + 2, 0), fill(length, 0, 1), fill(length, 0, 1)};

  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    if (strncmp(line, "hash", 4) == 0) {
      uint32_t hash = 2166136261u;
      for (long t = 0; t < tensor_count; t++)
        for (long i = 0; i < length; i++) {
          uint32_t bits;
          memcpy(&bits, &tensors[t].w[i], 4);
          hash = (hash ^ bits) * 16777619u;
        }
      printf("%u\n", hash);
    } else {
      if (sscanf(line, "run %ld %f %f %f %f %f", &repeats, &scalars.learning_rate, &scalars.one_minus_beta1, &scalars.beta2,
                 &scalars.bias_correction, &scalars.epsilon) != 6) return 2;
      pthread_t threads[64];
      atomic_store(&arrived, 0);
      double wall = nanoseconds(CLOCK_MONOTONIC), processor = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
      for (int t = 1; t < thread_count; t++) pthread_create(&threads[t], NULL, work, (void *)(intptr_t)t);
      work((void *)0);
      for (int t = 1; t < thread_count; t++) pthread_join(threads[t], NULL);
      printf("%.0f %.0f\n", nanoseconds(CLOCK_MONOTONIC) - wall, nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - processor);
    }
    fflush(stdout);
  }
  return 0;
}
