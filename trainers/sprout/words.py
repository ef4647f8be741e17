"""Names and words of generated worlds. Every word belongs to one side: what is generated for training never holds a
word of the held-out side, and the held-out report uses no other."""

import random
import string
from dataclasses import dataclass
from enum import StrEnum

from wisen.core.ids import derived_seed

HELD_SHARE = 6  # one word in so many is held out


class Side(StrEnum):
    TRAIN = "train"
    HELD = "held-out"


_ONSETS = tuple("b c d f g h j k l m n p r s t v w z br cl dr fl gr kr pl st tr sh th".split())
_VOWELS = tuple("a e i o u ai ea oo".split())
_CODAS = ("", "", "", "l", "m", "n", "r", "s", "t", "x", "nd", "rk")
PEOPLE = tuple(
    "Ada Alan Amir Anna Bela Bruno Carla Chen Dario Della Edith Emil Farid Fiona Gita Hana Hugo Ida Igor Ines "
    "Ivan Jana Joel Kaya Karim Lena Leo Lucia Mara Marco Milan Mina Nadia Nils Olga Omar Oscar Petra Pia Quinn "
    "Rana Rosa Ruben Samir Sara Sven Tara Theo Ugo Vera Viktor Wanda Xenia Yara Yusuf Zeno Zora".split()
)
THINGS = tuple(
    "apple bag ball basket bell bench blanket boat book bottle bowl box bread bridge broom brush bucket button "
    "cake camera candle card carpet chair cheese clock cloth coat coin comb cup curtain dish door drum egg fan "
    "feather fork frame garden glass glove hammer hat honey hook jar key kettle kite knife ladder lamp leaf lemon "
    "letter lock map mirror mug nail needle net onion orange oven paint pan paper pear pen pencil pepper piano "
    "pillow pin pipe plate plum pot purse ring rope rug salt saw scarf seed shell shirt shoe soap sock spoon "
    "stamp stone sugar table tape tea tent ticket towel toy tray umbrella vase wallet watch wheel whistle window "
    "wire wool".split()
)
QUALITIES = tuple(
    "amber big black blue bright broad brown calm clean clear cold dark deep dry early empty even fine flat fresh "
    "full golden grand green grey heavy high hollow kind large late light little long loud low narrow near new "
    "old open pale plain proud quick quiet rapid red rich rough round sharp short silver slow small smooth soft "
    "solid strong sweet tall thin true warm white wide wild yellow young".split()
)
NATURE = tuple(
    "ash bay beach bird brook cedar cliff cloud coast coral crow dawn deer delta dove dune eagle elm falcon fern "
    "field fir forest fox frost glade goose grove harbor hare hawk heath hill holly island ivy lake lark lily "
    "lynx maple marsh meadow mist moon moss oak ocean otter owl peak pine pond prairie rain raven reed ridge "
    "river robin rose sand sea sky snow sparrow spring star storm stream summit sun swan thorn tide valley vine "
    "violet wave willow wind wolf wren".split()
)
WORK = tuple(
    "account agenda answer area batch bill branch budget chart claim client contract copy course credit data deal "
    "delivery design draft entry event form group guide help history home idea image index invoice item job label "
    "ledger lesson level list log loan mail manual market member memo menu message model money news note notice "
    "number offer order page parcel part party pass payment phone photo place plan point policy post price "
    "profile project quote rate receipt record refund rent report request review role room rule sale sample "
    "schedule search section service shift shop sign site stock store story study summary survey team term test "
    "text title topic total tour trade trip unit user visit vote work".split()
)
ACTS = tuple(
    "accept add agree apply approve archive assign attach begin book browse build buy cancel change check close "
    "collect commit confirm continue convert create delete deliver deny dismiss download edit enter exit explore "
    "export file filter finish fix follow forward go ignore import insert invite join keep leave link load login "
    "mark merge move next okay open pay pick pin press preview print proceed publish push read refresh register "
    "reject release remove rename repeat reply report reset restore return run save scan send share show skip "
    "sort start stop store submit switch sync tag take tick try undo update upload use view wait write".split()
)
FILLER = tuple(
    "the a of and to in is it for on that with as at by from this are be was not or an all more when there can "
    "has about into some other only new also may these two time first any people over such our well even most "
    "after made here must through years much before".split()
)


def side_of(word: str) -> Side:
    """The side that a word is on, by its letters alone, whatever their case."""
    return Side.HELD if derived_seed("sprout", word.lower()) % HELD_SHARE == 0 else Side.TRAIN


@dataclass(frozen=True)
class Lexicon:
    """Draws words of one side. `ease` in [0, 1]: the share of everyday words among names; the rest is made up."""

    side: Side
    ease: float = 0.5

    def pick(self, draw: random.Random, pool: tuple[str, ...]) -> str:
        """A word of the pool that is on this side; the pool must hold one."""
        while True:
            word = draw.choice(pool)
            if side_of(word) is self.side:
                return word

    def made_up(self, draw: random.Random, most: int = 3) -> str:
        while True:
            count = draw.randint(1, most) if draw.random() < 0.9 else most + 1
            word = "".join(draw.choice(_ONSETS) + draw.choice(_VOWELS) for _ in range(count)) + draw.choice(_CODAS)
            if len(word) > 2 and side_of(word) is self.side:
                return word

    def code(self, draw: random.Random) -> str:
        """Letters and digits such as passwords and ticket numbers are made of."""
        while True:
            if draw.random() < 0.4:
                word = f"{draw.choice(string.ascii_uppercase)}{draw.choice(('', '-'))}{draw.randint(1, 99)}"
            else:
                word = "".join(draw.choice(string.ascii_letters + string.digits) for _ in range(draw.randint(2, 7)))
            if side_of(word) is self.side:
                return word

    def number(self, draw: random.Random) -> str:
        while True:
            word = str(draw.randint(0, draw.choice((9, 99, 999))))
            if side_of(word) is self.side or draw.random() < 0.1:
                return word

    def word(self, draw: random.Random) -> str:
        """A lower-case word, everyday or made up."""
        if draw.random() < self.ease:
            return self.pick(draw, draw.choice((THINGS, QUALITIES, NATURE, WORK, ACTS)))
        return self.made_up(draw)

    def name(self, draw: random.Random) -> str:
        """What a label, a person, a site, a value may be called."""
        kind = draw.random()
        if kind < 0.5:
            word = self.word(draw)
            return draw.choice((word, word, word.capitalize(), word.capitalize(), word.upper()))
        if kind < 0.65:
            return self.pick(draw, PEOPLE)
        if kind < 0.8:
            return f"{self.word(draw).capitalize()} {draw.choice((str.lower, str.capitalize))(self.word(draw))}"
        return self.code(draw) if draw.random() > self.ease / 2 else self.number(draw)

    def names(self, draw: random.Random, count: int, *, word: bool = False) -> list[str]:
        """So many different names, none the same but for case."""
        found: dict[str, str] = {}
        while len(found) < count:
            name = self.word(draw) if word else self.name(draw)
            found.setdefault(name.lower(), name)
        return list(found.values())

    def site(self, draw: random.Random) -> str:
        """An organisation, a house, a project."""
        word = self.word(draw).capitalize()
        return word if draw.random() < 0.6 else f"{word} {self.word(draw).capitalize()}"

    def sentence(self, draw: random.Random, most: int = 8) -> str:
        words = [draw.choice(FILLER) if draw.random() < 0.4 else self.word(draw) for _ in range(draw.randint(1, most))]
        return " ".join([words[0].capitalize(), *words[1:]]) + draw.choice((".", "", "."))
