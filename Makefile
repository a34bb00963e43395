# A small face on Meson. `make help` lists the targets.
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/setup
	@meson setup $(BUILD) >/dev/null

setup:
	@tools/setup

demo: all
	@tools/setup demo
	@tests/demo/demo $(BUILD)

check:
	@tools/setup check
	@tests/run check

soak:
	@tools/setup check
	@tests/run soak

bench: all
	@tools/setup bench
	@/usr/bin/python3 bench/run $(BUILD)

format:
	@tools/format

help:
	@echo 'make            build everything into build/'
	@echo 'make demo       set up, build, run the walk-through on real flight data'
	@echo 'make check      set up, build, a short form of every test'
	@echo 'make soak       the long tests: kills, fuzzing, big objects'
	@echo 'make bench      benchmarks beside their peers'

clean:
	rm -rf $(BUILD)

.PHONY: all setup demo check soak bench format help clean
