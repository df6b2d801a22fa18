# vsrc on a Jetson with JetPack 6 or 7. BASE is an image of NVIDIA's with TensorRT for that JetPack, and CUDA
# its major version. How to choose both, build and run it: docs/docker.md
ARG BASE
FROM ${BASE}
ARG CUDA=12
ARG EXTRAS=cpu,report
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
# TensorRT belongs to the image, hence --system-site-packages; without its Python module the build ends here.
RUN python3 -m venv --system-site-packages /opt/vsrc \
    && /opt/vsrc/bin/python -c 'import tensorrt; print("TensorRT", tensorrt.__version__)'
ENV PATH=/opt/vsrc/bin:$PATH
WORKDIR /source
COPY . .
# The pins of cuda-* are for the newest CUDA; here it is the board's that counts.
RUN grep -v '^cuda-' constraints.txt > /tmp/constraints.txt \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt ".[${EXTRAS}]" "cuda-bindings==${CUDA}.*" \
    && rm -r /source/* /tmp/constraints.txt
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all HOME=/tmp
WORKDIR /data
ENTRYPOINT ["vsrc"]
CMD ["doctor"]
