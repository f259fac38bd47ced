# canhubd in a container: only what it needs to run, as a user without rights.
#
#   docker build -t canhub .
#   docker run --rm --network host --stop-timeout 30 \
#       -v /etc/canhub:/etc/canhub:ro -v canhub-state:/var/lib/canhub canhub
#   docker run --rm --name canhub canhub --config /usr/share/doc/canhub/examples/demo.yaml \
#       --state-dir /var/lib/canhub                            # a simulated lab
#   docker exec canhub canhubctl devices
#
# CAN interfaces are those of the host's network: --network host. --stop-timeout: on_shutdown may
# take 10 s and more, docker's own patience ends after 10 s. docs/operations.md has the rest.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup build
COPY . .
RUN cmake --preset release \
    && cmake --build --preset release --target canhubd canhubctl canhub-sim \
    && DESTDIR=/installed cmake --install build/release --prefix /usr --strip

FROM ${BASE}
COPY scripts/setup /tmp/canhub/scripts/setup
RUN /tmp/canhub/scripts/setup runtime \
    && rm -rf /tmp/canhub /var/lib/apt/lists/* \
    && useradd --system --user-group --uid 910 --home-dir /var/lib/canhub --no-create-home canhub \
    && install -d -o canhub -g canhub -m 750 /run/canhub \
    && install -d -o canhub -g canhub -m 700 /var/lib/canhub \
    && install -d -m 755 /etc/canhub
COPY --from=build /installed/usr/ /usr/
USER canhub
# The audit record and the alarms outlive the container.
VOLUME /var/lib/canhub
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["canhubctl", "--timeout", "3s", "info"]
ENTRYPOINT ["canhubd"]
CMD ["--config", "/etc/canhub/canhub.yaml"]
