// Would a state of half the size pay? Adamax with 128-bit vectors, as WebAssembly has them: m and u in float32 (28 bytes per parameter) against
// m and u as bfloat16 in one word (20 bytes), rounded at random by a hash of seed, element and step. The best case for it: NaN and infinity
// are not looked after.
//   cc -O3 -msse4.1 -mno-avx -ffp-contract=off bench/c/bfloat16.c -o bench/out/bfloat16 -lm && bench/out/bfloat16
#include <math.h>
#include <smmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct { __m128 rate, keep1, beta2, correction, epsilon, tiny, magnitude; } constants;

static inline __m128 flushed(__m128 x, constants k) {
  return _mm_andnot_ps(_mm_cmplt_ps(_mm_and_ps(x, k.magnitude), k.tiny), x);
}
static inline __m128 larger(__m128 a, __m128 b) {
  return _mm_castsi128_ps(_mm_max_epi32(_mm_castps_si128(a), _mm_castps_si128(b)));
}
static inline __m128 moved(__m128 w, __m128 m, __m128 u, constants k) {
  return _mm_sub_ps(w, _mm_div_ps(_mm_mul_ps(k.rate, m), _mm_mul_ps(k.correction, _mm_add_ps(u, k.epsilon))));
}

static void step_float32(float *w, const float *g, float *m, float *u, size_t n, constants k) {
  for (size_t i = 0; i < n; i += 4) {
    __m128 gi = flushed(_mm_loadu_ps(g + i), k), mi = _mm_loadu_ps(m + i);
    mi = _mm_add_ps(mi, _mm_mul_ps(_mm_sub_ps(gi, mi), k.keep1));
    __m128 ui = larger(_mm_mul_ps(_mm_loadu_ps(u + i), k.beta2), _mm_and_ps(gi, k.magnitude));
    _mm_storeu_ps(w + i, moved(_mm_loadu_ps(w + i), mi, ui, k));
    _mm_storeu_ps(m + i, mi);
    _mm_storeu_ps(u + i, ui);
  }
}

static void step_bfloat16(float *w, const float *g, uint32_t *state, size_t n, constants k, uint32_t seed) {
  const __m128i upper = _mm_set1_epi32((int)0xffff0000), lower = _mm_set1_epi32(0xffff), four = _mm_set1_epi32(4);
  const __m128i odd = _mm_set1_epi32(0x7feb352d);
  __m128i element = _mm_xor_si128(_mm_setr_epi32(0, 1, 2, 3), _mm_set1_epi32((int)seed));
  for (size_t i = 0; i < n; i += 4) {
    __m128i packed = _mm_loadu_si128((const __m128i *)(state + i));
    __m128 gi = flushed(_mm_loadu_ps(g + i), k), mi = _mm_castsi128_ps(_mm_and_si128(packed, upper));
    mi = _mm_add_ps(mi, _mm_mul_ps(_mm_sub_ps(gi, mi), k.keep1));
    __m128 old = _mm_castsi128_ps(_mm_slli_epi32(packed, 16));
    __m128 ui = larger(_mm_mul_ps(old, k.beta2), _mm_and_ps(gi, k.magnitude));
    _mm_storeu_ps(w + i, moved(_mm_loadu_ps(w + i), mi, ui, k));
    __m128i hash = _mm_mullo_epi32(_mm_xor_si128(element, _mm_srli_epi32(element, 7)), odd);
    hash = _mm_xor_si128(hash, _mm_srli_epi32(hash, 15));
    __m128i m16 = _mm_and_si128(_mm_add_epi32(_mm_castps_si128(mi), _mm_and_si128(hash, lower)), upper);
    __m128i u16 = _mm_srli_epi32(_mm_add_epi32(_mm_castps_si128(ui), _mm_srli_epi32(hash, 16)), 16);
    _mm_storeu_si128((__m128i *)(state + i), _mm_or_si128(m16, u16));
    element = _mm_add_epi32(element, four);
  }
}

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
static int ascending(const void *a, const void *b) { double d = *(const double *)a - *(const double *)b; return (d > 0) - (d < 0); }

int main(void) {
  constants k = {_mm_set1_ps(1e-3f), _mm_set1_ps(0.1f), _mm_set1_ps(0.999f), _mm_set1_ps(0.9f), _mm_set1_ps(1e-7f),
                 _mm_set1_ps(0x1p-90f), _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff))};
  for (size_t n = 100000; n <= 50000000; n *= n == 10000000 ? 5 : 10) {
    float *w = calloc(n, 4), *g = calloc(n, 4), *m = calloc(n, 4), *u = calloc(n, 4);
    uint32_t *state = calloc(n, 4);
    for (size_t i = 0; i < n; i++) g[i] = sinf((float)i), w[i] = m[i] = u[i] = 0.1f, state[i] = 0x3dcd3dcd;
    enum { ROUNDS = 41 };
    double ratio[ROUNDS], plain[ROUNDS];
    int repeats = n < 10000000 ? (int)(10000000 / n) : 1;
    for (int round = 0; round < ROUNDS; round++) {
      double a = now();
      for (int r = 0; r < repeats; r++) step_float32(w, g, m, u, n, k);
      double b = now();
      for (int r = 0; r < repeats; r++) step_bfloat16(w, g, state, n, k, (uint32_t)(round * 977 + r));
      double c = now();
      plain[round] = (b - a) / repeats / n;
      ratio[round] = (b - a) / (c - b);
    }
    qsort(ratio, ROUNDS, sizeof(double), ascending);
    qsort(plain, ROUNDS, sizeof(double), ascending);
    printf("%9zu parameters: float32 / bfloat16 %.2f (%.2f .. %.2f), float32 %.3f ns per parameter\n", n, ratio[ROUNDS / 2], ratio[ROUNDS / 4],
           ratio[3 * ROUNDS / 4], plain[ROUNDS / 2]);
    free(w), free(g), free(m), free(u), free(state);
  }
}
