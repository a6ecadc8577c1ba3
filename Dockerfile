# syntax=docker/dockerfile:1
# Both images are arguments, so that a release can pin them by digest:
#   docker build --build-arg RUST_IMAGE=rust@sha256:… --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12@sha256:… .
# Builder and base are both bookworm: the binary must not want a newer glibc than the base has.
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS builder
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs used-functions.txt ./
COPY src ./src
# `unsecret explain` carries the page with it.
COPY docs/errors.md ./docs/errors.md
# The manifest names the test's root file; only that it exists matters here.
COPY tests/it/main.rs ./tests/it/main.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin unsecret \
    && cp target/release/unsecret /usr/local/bin/unsecret

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="unsecret" \
      org.opencontainers.image.description="Hands an unchanged application its Microsoft Entra ID access token, so that it needs no client secret" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
COPY --from=builder /usr/local/bin/unsecret /usr/local/bin/unsecret
# glibc gives every thread an arena of its own; two are enough for a handful of threads.
ENV MALLOC_ARENA_MAX=2
# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532
# Metrics and probes. The doors stay on loopback: an application reaches them by sharing our network namespace.
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/unsecret", "health"]
ENTRYPOINT ["/usr/local/bin/unsecret"]
CMD ["run"]
