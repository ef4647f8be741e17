"""A program with two isolated environments, to be killed. They do what its argument says, then it prints their ids."""

import asyncio
import json
import sys

from tests.support.misbehaving import MisbehavingSuite
from wisen.core.records import Action, Split
from wisen.environments.isolated.suite import IsolatedSuite


async def main() -> None:
    suite = IsolatedSuite(MisbehavingSuite(), "tests.support.misbehaving:MisbehavingSuite")
    environments = [await suite.create() for _ in range(2)]
    for environment in environments:
        await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    steps = [asyncio.create_task(environment.step(Action(text=sys.argv[1]))) for environment in environments]
    await asyncio.sleep(0.5)  # until the steps are under way
    sys.stdout.write(json.dumps([environment.pid for environment in environments]) + "\n")
    sys.stdout.flush()
    await asyncio.gather(*steps)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main())
