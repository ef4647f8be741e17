"""Small pure functions with a description each: what the repair tasks break. Arguments and results are JSON values.

Each function stands alone (no imports, no helpers), because its source is what the agent sees.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A function, arguments that must always be tried, and a maker of further ones."""

    function: Callable[..., Any]
    edges: tuple[list[Any], ...]
    draw: Callable[[Random], list[Any]]

    @property
    def name(self) -> str:
        return self.function.__name__


def clamp(value: int, low: int, high: int) -> int:
    """Return value, moved to the nearer end when it lies outside low..high (both ends allowed).
    When low is greater than high, swap the two first."""
    if low > high:
        low, high = high, low
    if value < low:
        return low
    if value > high:
        return high
    return value


def first_index(items: list[int], target: int) -> int:
    """Return the index of the first occurrence of target in a list sorted upwards, or -1 if it is not there."""
    low = 0
    high = len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < target:
            low = middle + 1
        else:
            high = middle
    if low < len(items) and items[low] == target:
        return low
    return -1


def run_lengths(text: str) -> list[list[Any]]:
    """Return [character, count] for each run of equal characters, in order: "aab" gives [["a", 2], ["b", 1]]."""
    runs: list[list[Any]] = []
    for character in text:
        if runs and runs[-1][0] == character:
            runs[-1][1] += 1
        else:
            runs.append([character, 1])
    return runs


def rotate_left(items: list[int], steps: int) -> list[int]:
    """Return the items moved steps places to the left, those pushed out coming back at the end.
    A negative number of steps moves to the right. An empty list stays empty."""
    if not items:
        return []
    offset = steps % len(items)
    return items[offset:] + items[:offset]


def digit_sum(number: int, base: int) -> int:
    """Return the sum of the digits of a whole number written in the given base (2 or more). Signs are ignored."""
    rest = abs(number)
    total = 0
    while rest > 0:
        total += rest % base
        rest = rest // base
    return total


def merge_sorted(left: list[int], right: list[int]) -> list[int]:
    """Merge two lists sorted upwards into one sorted list that holds every item of both."""
    merged: list[int] = []
    i = 0
    j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


def is_palindrome(text: str) -> bool:
    """Say whether the letters and digits of text read the same both ways. Case and all other characters are ignored."""
    kept = [character.lower() for character in text if character.isalnum()]
    i = 0
    j = len(kept) - 1
    while i < j:
        if kept[i] != kept[j]:
            return False
        i += 1
        j -= 1
    return True


def roman(number: int) -> str:
    """Write a number from 1 to 3999 in Roman numerals, with subtractive forms (4 is IV, 900 is CM)."""
    values = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1]
    signs = ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"]
    parts: list[str] = []
    for i in range(len(values)):
        while number >= values[i]:
            parts.append(signs[i])
            number -= values[i]
    return "".join(parts)


def moving_sums(values: list[int], width: int) -> list[int]:
    """Return the sum of each run of width neighbours, left to right. With fewer values than width, or a width below 1,
    the result is empty."""
    if width < 1 or len(values) < width:
        return []
    total = sum(values[:width])
    sums = [total]
    for i in range(width, len(values)):
        total += values[i] - values[i - width]
        sums.append(total)
    return sums


def chunks(items: list[int], size: int) -> list[list[int]]:
    """Cut the items into lists of size items each, in order; the last may be shorter. A size below 1 counts as 1."""
    step = max(1, size)
    return [items[i : i + step] for i in range(0, len(items), step)]


def common_divisor(a: int, b: int) -> int:
    """Return the greatest common divisor of two whole numbers, never negative. With 0 and 0 it is 0."""
    a = abs(a)
    b = abs(b)
    while b != 0:
        a, b = b, a % b
    return a


def longest_rise(values: list[int]) -> int:
    """Return the length of the longest run of neighbours in which each value is greater than the one before it."""
    best = 0
    length = 0
    for i in range(len(values)):
        if i > 0 and values[i] > values[i - 1]:
            length += 1
        else:
            length = 1
        best = max(best, length)
    return best


def balanced(text: str) -> bool:
    """Say whether the brackets ()[] in text are closed in the right order. All other characters are ignored."""
    waiting: list[str] = []
    for character in text:
        if character in "([":
            waiting.append(character)
        elif character in ")]":
            if not waiting:
                return False
            opened = waiting.pop()
            if (opened == "(") != (character == ")"):
                return False
    return not waiting


def caesar(text: str, shift: int) -> str:
    """Move each letter a-z or A-Z shift places down the alphabet, from the end back to the start. Keep the case; leave
    other characters as they are."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    moved: list[str] = []
    for character in text:
        place = letters.find(character.lower())
        if place < 0:
            moved.append(character)
        else:
            letter = letters[(place + shift) % 26]
            moved.append(letter.upper() if character.isupper() else letter)
    return "".join(moved)


def fewest_coins(amount: int, coins: list[int]) -> int:
    """Return how few coins add up to amount, each kind as often as needed, or -1 if they cannot. 0 needs 0 coins."""
    unreachable = amount + 1
    fewest = [0] + [unreachable] * amount
    for part in range(1, amount + 1):
        for coin in coins:
            if coin <= part:
                fewest[part] = min(fewest[part], fewest[part - coin] + 1)
    return fewest[amount] if fewest[amount] < unreachable else -1


def edit_distance(source: str, target: str) -> int:
    """Return how few insertions, deletions and replacements of single characters turn source into target."""
    row = list(range(len(target) + 1))
    for i in range(1, len(source) + 1):
        above = row
        row = [i]
        for j in range(1, len(target) + 1):
            cost = 0 if source[i - 1] == target[j - 1] else 1
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost))
    return row[len(target)]


def days_in_month(year: int, month: int) -> int:
    """Return the number of days of a month (1 to 12) in the Gregorian calendar: years that 4 divides are leap years,
    but of those that 100 divides only the ones that 400 divides too."""
    if month == 2:
        if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
            return 29
        return 28
    if month in [4, 6, 9, 11]:
        return 30
    return 31


def fill_lines(words: list[str], width: int) -> list[str]:
    """Put the words, in order and one space apart, on as few lines as possible of at most width characters. A word
    longer than width has a line of its own."""
    lines: list[str] = []
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) <= width:
            line = line + " " + word
        else:
            if line:
                lines.append(line)
            line = word
    if line:
        lines.append(line)
    return lines


def _numbers(rng: Random, most: int, low: int = -9, high: int = 9) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(0, most))]


def _letters(rng: Random, most: int, alphabet: str) -> str:
    return "".join(rng.choices(alphabet, k=rng.randint(0, most)))


def _sorted_and_target(rng: Random) -> list[Any]:
    items = sorted(_numbers(rng, 9))
    return [items, rng.choice(items) if items and rng.random() < 0.7 else rng.randint(-10, 10)]


def _mirrored(rng: Random) -> list[Any]:
    half = _letters(rng, 4, "aAbB1 ,")
    text = half + half[::-1].swapcase() if rng.random() < 0.6 else half + _letters(rng, 3, "abA1")
    return [text + rng.choice(["", "!", " "])]


def _brackets(rng: Random) -> list[Any]:
    text = "x"
    for _ in range(rng.randint(0, 4)):
        text = rng.choice([f"({text})", f"[{text}]", f"{text}()", f"[]{text}"])
    if rng.random() < 0.5:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", "(", ")", "[", "]"]) + text[at + 1 :]
    return [text]


def _shared_factor(rng: Random) -> list[Any]:
    factor = rng.randint(1, 12)
    return [factor * rng.randint(-12, 12), factor * rng.randint(0, 12)]


def _year_and_month(rng: Random) -> list[Any]:
    year = rng.choice([rng.randint(1890, 2110), 100 * rng.randint(17, 25)])
    return [year, rng.choice([2, rng.randint(1, 12)])]


def _words(rng: Random) -> list[Any]:
    return [["x" * rng.randint(1, 6) for _ in range(rng.randint(0, 7))], rng.randint(3, 12)]


LIBRARY: tuple[Entry, ...] = (
    Entry(
        clamp,
        ([0, 0, 0], [5, 1, 3], [5, 3, 1], [1, 1, 3], [3, 1, 3]),
        lambda rng: [rng.randint(-9, 9), rng.randint(-6, 6), rng.randint(-6, 6)],
    ),
    Entry(first_index, ([[], 1], [[1], 1], [[2, 2, 2], 2], [[1, 3], 2], [[1, 3], 4]), _sorted_and_target),
    Entry(run_lengths, ([""], ["a"], ["aab"]), lambda rng: [_letters(rng, 8, "aaabc")]),
    Entry(
        rotate_left,
        ([[], 3], [[1], 1], [[1, 2, 3], 0], [[1, 2, 3], -1]),
        lambda rng: [_numbers(rng, 6, 0, 99), rng.randint(-9, 9)],
    ),
    Entry(digit_sum, ([0, 10], [9, 10], [-25, 10]), lambda rng: [rng.randint(-9999, 9999), rng.randint(2, 16)]),
    Entry(
        merge_sorted,
        ([[], []], [[1], []], [[], [1]], [[1], [1]]),
        lambda rng: [sorted(_numbers(rng, 5)), sorted(_numbers(rng, 5))],
    ),
    Entry(is_palindrome, ([""], ["a"], ["ab"], ["Abba!"], ["12 1"]), _mirrored),
    Entry(roman, ([1], [4], [9], [1990], [3999]), lambda rng: [rng.randint(1, 3999)]),
    Entry(
        moving_sums,
        ([[], 1], [[1], 1], [[1, 2], 3], [[1, 2], 0], [[1, 2], 2]),
        lambda rng: [_numbers(rng, 8), rng.randint(0, 4)],
    ),
    Entry(chunks, ([[], 2], [[1, 2], 0], [[1, 2], 2]), lambda rng: [_numbers(rng, 8, 0, 99), rng.randint(0, 4)]),
    Entry(common_divisor, ([0, 0], [0, 7], [7, 0], [-4, 6]), _shared_factor),
    Entry(longest_rise, ([[]], [[1]], [[1, 1]], [[1, 2, 3]]), lambda rng: [_numbers(rng, 8, 0, 6)]),
    Entry(balanced, ([""], ["("], [")"], ["(]"], ["[()]"]), _brackets),
    Entry(
        caesar,
        (["", 1], ["xyz", 3], ["aB!", -1]),
        lambda rng: [_letters(rng, 6, "abmnyzABMNYZ -"), rng.randint(-30, 30)],
    ),
    Entry(
        fewest_coins,
        ([0, [1]], [3, [2]], [6, [1, 3, 4]], [5, []]),
        lambda rng: [rng.randint(0, 20), sorted(rng.sample(range(1, 9), rng.randint(1, 3)))],
    ),
    Entry(
        edit_distance,
        (["", ""], ["a", ""], ["", "a"], ["ab", "ba"]),
        lambda rng: [_letters(rng, 5, "abc"), _letters(rng, 5, "abc")],
    ),
    Entry(
        days_in_month,
        ([1900, 2], [2000, 2], [2024, 2], [2023, 2], [2023, 4], [2023, 12]),
        _year_and_month,
    ),
    Entry(fill_lines, ([[], 5], [["toolong"], 3], [["ab", "cd"], 5], [["ab", "cd"], 4]), _words),
)  # fmt: skip
