# vsrc on x86: the CPU, or with `--build-arg EXTRAS=gpu,report` CUDA. How to build and run it: docs/docker.md
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim-bookworm
ARG EXTRAS=cpu,report
COPY constraints.txt /tmp/
COPY --from=wheel /wheel /tmp/wheel
# CUDA's libraries come with onnxruntime-gpu, as wheels; the driver comes from the host.
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(echo /tmp/wheel/*.whl)[${EXTRAS}]" \
    && rm -r /tmp/wheel /tmp/constraints.txt
# `video` makes NVENC and NVDEC visible. Any user may be given to `docker run`, so HOME is writable for all.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video HOME=/tmp
WORKDIR /data
ENTRYPOINT ["vsrc"]
CMD ["doctor"]
