"""The thirty experiments of ScienceWorld 1.2 (Wang et al. 2022, arXiv 2203.07540): how many variations each has in the
official train, dev and test sets, and how many steps it is given. A set is a run of numbers, train from 0, dev after
it, then test; a test compares them with the simulator's own lists."""

from typing import NamedTuple

from wisen.core.records import Split


class Experiment(NamedTuple):
    train: int
    dev: int
    test: int
    steps: int = 100  # the benchmark's usual limit; more where the simulator's own solutions come near or go beyond it

    def variations(self, split: Split) -> range:
        match split:
            case Split.LEARN:
                return range(self.train)
            case Split.GATE:
                return range(self.train, self.train + self.dev)
            case _:
                return range(self.train + self.dev, self.train + self.dev + self.test)


EXPERIMENTS = {
    "boil": Experiment(14, 7, 9, steps=200),
    "change-the-state-of-matter-of": Experiment(14, 7, 9, steps=200),
    "chemistry-mix": Experiment(16, 8, 8),
    "chemistry-mix-paint-secondary-color": Experiment(18, 9, 9),
    "chemistry-mix-paint-tertiary-color": Experiment(18, 9, 9),
    "find-animal": Experiment(150, 75, 75),
    "find-living-thing": Experiment(150, 75, 75),
    "find-non-living-thing": Experiment(150, 75, 75),
    "find-plant": Experiment(150, 75, 75),
    "freeze": Experiment(14, 7, 9, steps=200),
    "grow-fruit": Experiment(62, 31, 33, steps=150),
    "grow-plant": Experiment(62, 31, 33),
    "identify-life-stages-1": Experiment(6, 3, 5),
    "identify-life-stages-2": Experiment(4, 2, 4),
    "inclined-plane-determine-angle": Experiment(84, 42, 42, steps=250),
    "inclined-plane-friction-named-surfaces": Experiment(692, 346, 348, steps=400),
    "inclined-plane-friction-unnamed-surfaces": Experiment(80, 40, 42, steps=400),
    "lifespan-longest-lived": Experiment(62, 31, 32),
    "lifespan-longest-lived-then-shortest-lived": Experiment(62, 31, 32),
    "lifespan-shortest-lived": Experiment(62, 31, 32),
    "measure-melting-point-known-substance": Experiment(218, 109, 109),
    "measure-melting-point-unknown-substance": Experiment(150, 75, 75),
    "melt": Experiment(14, 7, 9, steps=200),
    "mendelian-genetics-known-plant": Experiment(60, 30, 30, steps=200),
    "mendelian-genetics-unknown-plant": Experiment(240, 120, 120, steps=200),
    "power-component": Experiment(10, 5, 5),
    "power-component-renewable-vs-nonrenewable-energy": Experiment(10, 5, 5),
    "test-conductivity": Experiment(450, 225, 225),
    "test-conductivity-of-unknown-substances": Experiment(300, 150, 150),
    "use-thermometer": Experiment(270, 135, 135),
}
