# pcapts as an image: docker build -t pcapts:0.1.0 .
#   pcapts          everything but capturing; needs no capability
#   pcapts-capture  the same with CAP_NET_RAW, for --interface, without being root
FROM node:20-bookworm AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends libpcap-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN mkdir /out && npm pack --pack-destination /out

FROM node:20-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends libcap2-bin libpcap0.8 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /tmp/pcapts/
# Without scripts the optional packages cap and kerberos are not compiled: neither is needed to capture.
RUN npm install --global --ignore-scripts --no-audit --no-fund /tmp/pcapts/*.tgz \
  && rm -rf /tmp/pcapts /root/.npm
# A copy of node has the capability, node itself has not. A container without NET_RAW cannot start the copy.
RUN cp /usr/local/bin/node /usr/local/bin/node-capture \
  && setcap cap_net_raw+ep /usr/local/bin/node-capture \
  && printf '#!/bin/sh\nexec node-capture "$(readlink -f /usr/local/bin/pcapts)" "$@"\n' > /usr/local/bin/pcapts-capture \
  && chmod 755 /usr/local/bin/pcapts-capture \
  && useradd --system --uid 10001 --create-home --home-dir /var/lib/pcapts pcapts
USER 10001
WORKDIR /var/lib/pcapts
EXPOSE 9464
ENTRYPOINT ["pcapts"]
CMD ["--help"]
