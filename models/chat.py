"""Conversations as token ids, by the tokenizer's own chat template where it has one.

Text that looks like a control token stays text: only the template writes control tokens. Pages and tool results are
hostile, and could otherwise end their own message and begin one of the system.
"""

from collections.abc import Sequence
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.records import Message, Role, ToolSpec
from wisen.models.spanning import Ranges, marked, places, tokens_within
from wisen.models.toolcalls import spelt_out

# For tokenizers without a template, such as those of base models.
FALLBACK = (
    "{{ opening }}{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n\n{% endfor %}"
    "Assistant:"
)
FALLBACK_STOPS = ("\n\nUser:", "\n\nSystem:")  # where such a model begins to write the next message itself


class ChatFormat:
    """`stops`: texts that end a reply in this format, beside the model's own end token."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._own = bool(tokenizer.chat_template)
        self.stops = () if self._own else FALLBACK_STOPS

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec], opening: str = "") -> tuple[int, ...]:
        """The prompt, which ends where the assistant's reply begins, or after `opening`, a beginning given to it.
        Raises `SettingsError` where the template refuses the conversation."""
        ids = self._applied(messages, tools, sanitize_control_tokens=True, return_dict=False)
        tail = self._tokenizer(opening, add_special_tokens=False)["input_ids"] if opening else []
        return (*ids, *tail)

    def ranges(self, messages: Sequence[Message], tools: Sequence[ToolSpec], ids: Sequence[int]) -> Ranges:
        """Where each span stands in a conversation's ids, as `encode` gave them without an opening: [start, end) per
        span, in order, of all tokens that hold a part of it. None where the template changes what it is given, or a
        text holds what looks like a control token: then nothing is guessed."""
        whole = self._applied(messages, tools, tokenize=False)
        texts = [span.text for message in messages for span in message.spans]
        found = places(self._applied(marked(messages), tools, tokenize=False), whole, texts)
        if found is None:
            return ()
        read = self._tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        if tuple(read["input_ids"]) != tuple(ids):
            return ()
        return tokens_within(read["offset_mapping"], found)

    def _applied(self, messages: Sequence[Message], tools: Sequence[ToolSpec], **how: Any) -> Any:
        from jinja2 import TemplateError

        offered = [_tool(tool) for tool in tools] or None
        template = self._tokenizer.get_chat_template(None, offered) if self._own else FALLBACK
        extra = {} if self._own else {"opening": self._beginning()}
        if "tools" not in template:
            messages, offered = spelt_out(messages, tools), None
        try:
            return self._tokenizer.apply_chat_template(
                _plain(messages), tools=offered, chat_template=template, add_generation_prompt=True, **how, **extra
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise SettingsError(f"the model's chat template refuses this conversation: {error}") from error

    def text(self, prompt: str) -> tuple[int, ...]:
        """A bare text's ids, with the token that the tokenizer begins texts with, if any."""
        return tuple(self._tokenizer(prompt)["input_ids"])

    def _beginning(self) -> str:
        first = self._tokenizer("a")["input_ids"][:1]
        return self._tokenizer.bos_token if first == [self._tokenizer.bos_token_id] else ""


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as chat templates take them: arguments as values, not as JSON text."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    result = []
    for message in messages:
        form: dict[str, Any] = {"role": message.role.value, "content": message.text}
        if message.tool_calls:
            form["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        if message.role is Role.TOOL:
            form |= {"tool_call_id": message.tool_call_id, "name": names.get(message.tool_call_id, "")}
        result.append(form)
    return result


def _tool(tool: ToolSpec) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}
