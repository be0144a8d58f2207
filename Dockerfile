# syntax=docker/dockerfile:1
# The program by itself: docker build --tag dmarcflow . (needs BuildKit; what it compiled once it keeps in a cache).

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libssl-dev zlib1g-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ENV CARGO_INCREMENTAL=0
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --profile dist --locked --bin dmarcflow \
    && cp target/dist/dmarcflow /usr/local/bin/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 dmarcflow \
    && useradd --uid 10001 --gid dmarcflow --no-create-home --home-dir /data --shell /usr/sbin/nologin dmarcflow \
    && install --directory --owner=dmarcflow --group=dmarcflow /data
COPY --from=build /usr/local/bin/dmarcflow /usr/local/bin/
USER 10001:10001
WORKDIR /data
VOLUME /data
# What a query spills goes to a disk, not into the memory of a tmpfs.
ENV DMARCFLOW_DATA=/data DMARCFLOW_LISTEN=0.0.0.0:8080 TMPDIR=/data
EXPOSE 8080
# Of `run` and `worker`; other commands end by themselves and do not listen.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2m --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/${DMARCFLOW_LISTEN##*:} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["dmarcflow"]
