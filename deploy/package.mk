# Packages and the image for a box. None of these installs anything: what is missing, they name.
ARCH ?= $(shell dpkg --print-architecture)

cross: ## Build the program for arm64, on an amd64 Debian
	sh deploy/cross.sh

deb: ## Pack it for this machine: target/deb/ninewatch_VERSION_ARCH.deb; ARCH=arm64 cross-builds, ARCH="amd64 arm64" makes both
	for arch in $(ARCH); do \
	  if [ $$arch = "$$(dpkg --print-architecture)" ]; then $(MAKE) build; else $(MAKE) cross; fi; \
	  bash deploy/deb.sh $$arch; \
	done

test-deb: ## Install, upgrade, remove and purge the package that `make deb` made, on a throw-away copy of this system (as root)
	bash deploy/tests/deb_life.sh

image: ## Make target/image/ninewatch-arm64.img of the arm64 package (as root): an SD card for Raspberry Pi 3, 4 and 5
	bash deploy/image/build.sh

test-image: $(PAHO) ## Boot the image in QEMU, raise an alarm in it, cut its power under load, find all again; ARGS="--board raspi3b"
	target/py/bin/python tests/image/boot.py $(ARGS)

.PHONY: cross deb test-deb image test-image
