"""Which MiniWoB++ pages can be played from text, and why each of the others cannot.

`benchmarks/web.py families` opens all of them and prints what these lists rest on.
"""

# The thirteen that the default suite plays. Their whole state is in the accessibility tree.
DEFAULT_FAMILIES = (
    "click-test-2",
    "click-button",
    "click-link",
    "click-tab",
    "click-option",
    "click-checkboxes",
    "enter-text",
    "focus-text-2",
    "choose-list",
    "login-user",
    "click-dialog-2",
    "click-widget",
    "enter-password",
)
# What `wisen evolve` plays by itself. Chosen in trial runs, as pages that sprout does not play well as it ships and
# that chance solves at times. On some of them training was seen to pay, on others not.
DEMO_FAMILIES = (
    "form-sequence-2",
    "find-greatest",
    "navigate-tree",
    "use-autocomplete",
    "email-inbox-important",
    "click-tab-2-easy",
    "click-tab-2-medium",
    "click-menu-2",
    "click-collapsible-2-nodelay",
    "click-scroll-list",
    "click-checkboxes",
    "click-widget",
    "unicode-test",
)
DEMO, TEXT, WIDE = "demo", "text", "wide"
_PLACE = "the answer is a place in a drawing"
_DRAG = "something must be dragged, and no text says where it is"
_DRAW = "a line must be drawn"
_COLOUR = "the answer is a colour, which no text names"
_SHAPE = "the answer is the look of a shape"
_MOVES = "it moves, and the moment decides"
_MARK = "text must be marked by dragging over it"
LEFT_OUT = {
    "bisect-angle": _DRAW,
    "button-delay": _MOVES,
    "chase-circle": _MOVES,
    "circle-center": _PLACE,
    "click-color": _COLOUR,
    "click-pie": _MOVES,
    "click-pie-nodelay": "its slices lie over each other until they have moved",
    "click-shades": _COLOUR,
    "click-shape": _SHAPE,
    "count-shape": _SHAPE,
    "count-sides": _SHAPE,
    "daily-calendar": _DRAG,
    "drag-box": _DRAG,
    "drag-circle": _DRAG,
    "drag-cube": _DRAG,
    "drag-items": _DRAG,
    "drag-items-grid": _DRAG,
    "drag-shapes": _DRAG,
    "drag-shapes-2": _DRAG,
    "drag-single-shape": _DRAG,
    "drag-sort-numbers": _DRAG,
    "draw-circle": _DRAW,
    "draw-line": _DRAW,
    "find-midpoint": _PLACE,
    "highlight-text": _MARK,
    "highlight-text-2": _MARK,
    "hot-cold": _PLACE,
    "hover-shape": _MOVES,
    "identify-shape": _SHAPE,
    "moving-items": _MOVES,
    "number-checkboxes": "the figure to copy is a picture",
    "resize-textarea": _DRAG,
    "right-angle": _PLACE,
    "simon-says": "buttons flash in turn, and the flash is a colour",
    "stock-market": _MOVES,
    "text-editor": _MARK,
    "use-colorwheel": _COLOUR,
    "use-colorwheel-2": _COLOUR,
    "visual-addition": "what is to be counted is a picture",
}


def text_families(known: frozenset[str]) -> tuple[str, ...]:
    """The pages among `known` that can be played from text: the default ones first, the rest by name."""
    others = sorted(known - set(LEFT_OUT) - set(DEFAULT_FAMILIES))
    return (*DEFAULT_FAMILIES, *others)
