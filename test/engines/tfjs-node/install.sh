#!/bin/bash
# Builds the binding of tfjs-node to TensorFlow's library. Its own install script downloads that library from a place that registries do not have; the one
# of PyPI's tensorflow-cpu, which has the same C interface, takes its place. Needs g++, Python's pip, 2 GB of disk, and takes a minute.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund
python3 -m pip install -q --no-deps --no-compile --disable-pip-version-check --target tensorflow --upgrade -r requirements.txt
TF=$PWD/tensorflow/tensorflow
HEADERS=$(node -p "require('node-api-headers').include_dir")
cd node_modules/@tensorflow/tfjs-node
mkdir -p lib/napi-v8
g++ -std=c++17 -O2 -fPIC -shared -Ibinding -I. -I"$TF/include" -I"$HEADERS" -DNAPI_VERSION=8 binding/*.cc -o lib/napi-v8/tfjs_binding.node \
  -L"$TF" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -Wl,-rpath,"$TF"
