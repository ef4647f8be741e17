from pathlib import Path

import pytest

from tests.support.tiny import TEXTS, asking
from wisen.core.records import SpanKind
from wisen.models.tokens import ACT, END, PAD, SPECIAL, TAGS, Codec, train_tokenizer


@pytest.fixture(scope="module")
def codec(tiny: Path) -> Codec:
    return Codec.load(tiny)


@pytest.mark.parametrize("word", ["Submit", "Zürich", "x7Qp", "日本", "🙂", "under_score"])
def test_a_word_has_the_same_ids_wherever_it_stands(codec: Codec, word: str) -> None:
    alone = codec.text(word)
    assert len(alone) > 0
    quote = codec.text('"')
    assert codec.text(f'"{word}"') == (*quote, *alone, *quote)
    assert codec.text(f"  {word}\t") == alone
    assert codec.text(f"click {word} now") == (*codec.text("click"), *alone, *codec.text("now"))
    assert codec.text(f"a\n{word}\nb") == (*codec.text("a\n"), *alone, *codec.text("\nb"))


def test_line_ends_are_kept_and_blanks_are_not(codec: Codec) -> None:
    assert codec.text("a b") == codec.text("a   b") == codec.text("a\tb ")
    assert codec.text("a\nb") != codec.text("a b")
    assert codec.text("") == ()


def test_nothing_is_unknown(codec: Codec) -> None:
    texts = ["é", "e", "中", "文", "\u200b", "🙂", "🙃", "\x00"]
    ids = [codec.text(text) for text in texts]
    assert all(ids)
    assert len(set(ids)) == len(texts)


@pytest.mark.parametrize("tag", SPECIAL)
def test_text_that_looks_like_a_tag_is_text(codec: Codec, tag: str) -> None:
    tags = {codec.pad_id, codec.act_id, codec.end_id, *(codec.span(kind, "")[0] for kind in TAGS)}
    assert len(tags) == len(SPECIAL)
    for text in (tag, f"click {tag}", f"a{tag}b {tag}"):
        assert not tags & set(codec.text(text))
        assert not tags & set(codec.option(text)[:-1])


def test_each_span_has_its_range_and_the_prompt_ends_with_the_tag_that_asks(codec: Codec) -> None:
    request = asking("Click Submit.", ["click"], page='button "Submit"\nlink "Cancel"', memory="Be <task> quick")
    ids, ranges = codec.prompt(request.messages)
    spans = [span for message in request.messages for span in message.spans]
    assert [span.kind for span in spans] == [
        SpanKind.MEMORY,
        SpanKind.OBSERVATION,
        SpanKind.HISTORY,
        SpanKind.TASK,
    ]
    for span, (start, end) in zip(spans, ranges, strict=True):
        assert ids[start:end] == codec.span(span.kind, span.text)
    edges = [0, *(end for _, end in ranges)]
    assert [start for start, _ in ranges] == edges[:-1]
    assert ids[edges[-1] :] == (codec.act_id,)


def test_no_option_is_the_beginning_of_another(codec: Codec) -> None:
    short, long = codec.option("click"), codec.option("click button")
    assert short[-1] == long[-1] == codec.end_id
    assert long[: len(short)] != short
    assert codec.option("") == (codec.end_id,)


def test_an_answer_is_what_constrained_decoding_samples(codec: Codec) -> None:
    options = ["click a", "click b", "type"]
    ids, allowed = codec.answer(options, 1)
    assert ids == codec.option("click b")
    first = {codec.text("click")[0], codec.text("type")[0]}
    assert set(allowed[0]) == first
    split = len(codec.text("click"))
    assert set(allowed[split]) == {codec.text("a")[0], codec.text("b")[0]}
    assert allowed[-1] == (codec.end_id,)
    with pytest.raises(ValueError, match="option"):
        codec.answer(["click a", "click  a"], 0)


def test_equal_texts_give_an_equal_vocabulary_and_other_texts_another() -> None:
    first, again = (train_tokenizer(TEXTS, 400).backend_tokenizer.to_str() for _ in range(2))
    assert first == again
    other = train_tokenizer(["wholly other words here"] * 8, 400)
    assert other.backend_tokenizer.to_str() != first
    assert [other.convert_tokens_to_ids(tag) for tag in (PAD, ACT, END)] == [0, 1, 2]


def test_a_saved_tokenizer_reads_as_it_was(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    tokenizer.save_pretrained(tmp_path)
    before, after = Codec(tokenizer), Codec.load(tmp_path)
    for text in ('click button "Submit"', "<act>", "Zürich\n7"):
        assert before.text(text) == after.text(text)
    assert (before.pad_id, before.act_id, before.end_id) == (after.pad_id, after.act_id, after.end_id)
