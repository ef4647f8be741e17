from wisen.agent import prompts
from wisen.agent.prompts import compact, harness_version, instruct
from wisen.core.records import MemoryItem, Observation, Role, SpanKind

ITEM = MemoryItem(
    id="mem-1",
    kind="strategy",
    title="Use the basket",
    when_to_use="a shop with a basket",
    when_not="the basket is empty",
    content="Open it first.",
)
SEEN = Observation(instruction="Buy tea.", text='button "Tea"\nbutton "Pay"', actions=("click tea", "click pay"))


def test_compact_puts_memory_first_and_the_task_next_to_the_act() -> None:
    (message,) = compact(SEEN, ["click tea"], [ITEM])
    assert [span.kind for span in message.spans] == [
        SpanKind.MEMORY,
        SpanKind.OBSERVATION,
        SpanKind.HISTORY,
        SpanKind.TASK,
    ]
    memory, page, history, task = message.spans
    assert memory.item_id == "mem-1"
    assert "Open it first." in memory.text
    assert (page.text, history.text, task.text) == (SEEN.text, "click tea", "Buy tea.")
    assert len(compact(SEEN, [], [])[0].spans) == 3


def test_compact_cuts_what_a_small_backbone_cannot_read() -> None:
    seen = SEEN.model_copy(update={"text": "\n".join(f"{number} " + "x" * 500 for number in range(200))})
    history = [f"click {number}" for number in range(50)]
    _, page, done, _ = compact(seen, history, [ITEM])[0].spans
    lines = page.text.splitlines()
    assert len(lines) == prompts.COMPACT_LINES
    assert all(len(line) == prompts.COMPACT_LINE and line.endswith("…") for line in lines)
    assert lines[3].startswith("3 x")
    assert done.text.splitlines() == history[-prompts.HISTORY_LENGTH :]
    full = SEEN.model_copy(update={"text": "x" * prompts.COMPACT_LINE})
    assert compact(full, [], [])[0].spans[0].text == full.text


def test_instruct_says_all_that_a_model_needs_in_order() -> None:
    system, user = instruct(SEEN, ["click tea", "click tea (nothing happened)"], [ITEM], tools=False)
    assert (system.role, user.role) == (Role.SYSTEM, Role.USER)
    assert prompts.WITH_OPTIONS in system.text
    assert prompts.WITH_TOOLS not in system.text
    parts = [
        prompts.MEMORY_NOTE,
        "Use the basket",
        "When: a shop with a basket",
        "Not when: the basket is empty",
        "Open it first.",
        "Task: Buy tea.",
        "1. click tea",
        "2. click tea (nothing happened)",
        'button "Tea"',
        "Possible actions:\nclick tea\nclick pay",
    ]
    places = [user.text.index(part) for part in parts]
    assert places == sorted(places)


def test_each_part_can_be_left_out_by_its_kind() -> None:
    with_it, without = (instruct(SEEN, ["click tea"], items, tools=False)[1] for items in ([ITEM], []))
    assert [span for span in with_it.spans if span.kind is not SpanKind.MEMORY] == list(without.spans)
    assert "advice" not in without.text.lower()
    assert SpanKind.HISTORY not in {span.kind for span in instruct(SEEN, [], [], tools=False)[1].spans}


def test_with_tools_no_actions_are_listed() -> None:
    system, user = instruct(SEEN, [], [], tools=True)
    assert prompts.WITH_TOOLS in system.text
    assert "Possible actions" not in user.text
    bare = SEEN.model_copy(update={"actions": ()})
    system, user = instruct(bare, [], [], tools=False)
    assert "Possible actions" not in user.text
    assert prompts.IN_WORDS in system.text and prompts.WITH_OPTIONS not in system.text


def test_another_limit_is_another_harness() -> None:
    assert harness_version(max_steps=12) == harness_version(max_steps=12)
    assert harness_version(max_steps=12) != harness_version(max_steps=13)
    assert harness_version(max_steps=12, memory=3) == harness_version(memory=3, max_steps=12)
