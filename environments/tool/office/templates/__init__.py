"""The templates of tasks, by level: 1 a single call, 2 look up and act, 3 several systems, 4 several steps with a
condition."""

from wisen.environments.tool.office.templates.base import Job, Template, job_of
from wisen.environments.tool.office.templates.level1 import LEVEL_1
from wisen.environments.tool.office.templates.level2 import LEVEL_2
from wisen.environments.tool.office.templates.level3 import LEVEL_3
from wisen.environments.tool.office.templates.level4 import LEVEL_4

TEMPLATES: dict[str, Template] = {template.name: template for template in (*LEVEL_1, *LEVEL_2, *LEVEL_3, *LEVEL_4)}

__all__ = ["TEMPLATES", "Job", "Template", "job_of"]
