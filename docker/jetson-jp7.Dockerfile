# edgevae on JetPack 7 (Thor). Build it on the device, from the root of the checkout:
#
#   docker build -f docker/jetson-jp7.Dockerfile --build-arg BASE=IMAGE -t edgevae .
#   docker run --rm --runtime nvidia -v edgevae-cache:/cache edgevae doctor
#   docker run --rm --runtime nvidia -v edgevae-cache:/cache edgevae build edgevae-video-xs --size 360p
#
# IMAGE is NVIDIA's TensorRT container image for Arm servers with CUDA 13 and Python 3.12, which Thor runs (tensorrt in NVIDIA's container catalogue).
# It must bring TensorRT with its Python bindings, as JetPack's own does. Not built or run by us: no Jetson was at hand.
ARG BASE
FROM ${BASE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*

# Looked for, not imported: the driver is not there while an image is built.
RUN python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorrt') is None and 'BASE has no TensorRT for Python: add its package python3-libnvinfer')"

COPY docker/requirements-jp7.txt /tmp/requirements.txt
RUN python3 -m venv --system-site-packages /opt/edgevae \
 && /opt/edgevae/bin/pip install --no-cache-dir --ignore-installed --only-binary=:all: -r /tmp/requirements.txt

WORKDIR /opt/source
COPY pyproject.toml README.md LICENSE ./
COPY edgevae edgevae
COPY export export
COPY benchmarks benchmarks
RUN /opt/edgevae/bin/pip install --no-cache-dir --no-deps .

# Engines are built on the device, once, and kept here.
ENV EDGEVAE_CACHE_DIR=/cache PATH=/opt/edgevae/bin:$PATH
VOLUME /cache
ENTRYPOINT ["edgevae"]
CMD ["doctor"]
