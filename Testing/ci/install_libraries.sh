#!/usr/bin/env bash
# On Ubuntu: the libraries that Slicer's package expects (see Slicer's getting started page), a display, software OpenGL.
set -euo pipefail
sudo apt-get update -qq
sudo apt-get install -y -qq --no-install-recommends \
  xvfb libglu1-mesa libgl1-mesa-dri libpulse-mainloop-glib0 libnss3 libasound2t64 libsm6 libxt6t64 \
  libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-util1 libxcb-xinerama0 \
  libxcb-xkb1 libxkbcommon-x11-0 libxcomposite1 libxcursor1 libxdamage1 libxi6 libxrandr2
