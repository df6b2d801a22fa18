# vsrc on a Jetson with JetPack 6 or 7. BASE is an image of NVIDIA's with TensorRT and CUDA for that JetPack.
# How to choose it, build and run it: docs/docker.md
ARG BASE
FROM ${BASE}
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
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" \
    && rm -r /source/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all HOME=/tmp
WORKDIR /data
ENTRYPOINT ["vsrc"]
CMD ["doctor"]
