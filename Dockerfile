# syntax=docker/dockerfile:1
# Both images are arguments, so that a release can pin them by digest:
#   docker build --build-arg RUST_IMAGE=rust@sha256:… --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12@sha256:… .
# Two images come of it: this command's, and with `--target tpm` the one whose tag ends in `-tpm`.
# Builder and base are both bookworm: the binary must not want a newer glibc than the base has.
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS source
WORKDIR /build
# Writes the list of crates into the program, so that scanners of images see them.
RUN cargo install --quiet --locked --version 0.7.7 cargo-auditable
COPY Cargo.toml Cargo.lock build.rs ./
COPY benches/order/used-functions.txt ./benches/order/used-functions.txt
COPY src ./src
# `unsecret explain` carries the page with it.
COPY docs/errors.md ./docs/errors.md
# The manifest names the root files of the tests; only that they exist matters here.
COPY tests/it/main.rs ./tests/it/main.rs
COPY tests/deploy/main.rs ./tests/deploy/main.rs
FROM source AS builder
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo auditable build --locked --release --bin unsecret \
    && cp target/release/unsecret /usr/local/bin/unsecret

FROM source AS builder-tpm
# The newest of what bookworm has is wanted: a version of today would be gone from its mirrors tomorrow.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libtss2-dev \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo auditable build --locked --release --features tpm --bin unsecret \
    && cp target/release/unsecret /usr/local/bin/unsecret
# What it links, and what that loads to reach the kernel's resource manager. libcrypto is in the base already.
RUN mkdir /tss2 \
    && cp --no-dereference /usr/lib/*-linux-gnu/libtss2-esys.so.* /usr/lib/*-linux-gnu/libtss2-sys.so.* \
        /usr/lib/*-linux-gnu/libtss2-mu.so.* /usr/lib/*-linux-gnu/libtss2-tctildr.so.* \
        /usr/lib/*-linux-gnu/libtss2-tcti-device.so.* /tss2/

FROM ${BASE_IMAGE} AS base
# Of the commit that is built: `--build-arg REVISION=$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`. BuildKit takes the second for
# every time in the image, so that one commit makes one image.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH
LABEL org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.title="unsecret" \
      org.opencontainers.image.description="Hands an unchanged application its Microsoft Entra ID access token, so that it needs no client secret" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
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

# Needs the device and its group at run time: `--device /dev/tpmrm0 --group-add` with the number of the host's group `tss`.
FROM base AS tpm
COPY --from=builder-tpm /tss2/ /usr/lib/
COPY --from=builder-tpm /usr/local/bin/unsecret /usr/local/bin/unsecret
# libtss2 would tell stderr in its own words what we log in ours, and can be told so only from outside.
ENV TSS2_LOG=all+none

FROM base
COPY --from=builder /usr/local/bin/unsecret /usr/local/bin/unsecret
