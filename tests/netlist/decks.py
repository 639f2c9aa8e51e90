"""Seeded linear decks with expressions, suffixes, nested subcircuits and parameters, for comparison with ngspice."""

from __future__ import annotations

import random
import re

_LITERAL = re.compile(r"[\d.]+(e[+-]?\d+)?[a-zA-Z]*")


class DeckWriter:
    """Writes one random deck. Every value passes through an expression, a suffix or a parameter of some instance."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.nodes = 0

    def number(self) -> str:
        """A positive literal between about 0.1 and 10, in one of many spellings."""
        value = self.random.uniform(0.1, 10)
        spelling = self.random.randrange(6)
        if spelling == 0:
            return f"{value:.3g}"
        if spelling == 1:
            return f"{value * 1e3:.6g}m"
        if spelling == 2:
            return f"{value / 1e3:.4g}k"
        if spelling == 3:
            return f"{value * 1e6:.5g}U"
        if spelling == 4:
            return f"{value / 1e6:.5g}MEG"
        return f"{value:.4e}"

    def expression(self, names: list[str], depth: int = 0) -> str:
        """A parameter expression whose value is tame wherever the names are."""
        pick = self.random
        if depth > 3 or pick.random() < 0.2:
            return pick.choice(names) if names and pick.random() < 0.6 else self.number()
        a, b = (self.expression(names, depth + 1) for _ in range(2))
        form = pick.choice([
            "{a}+{b}", "{a}-{b}", "{a}*{b}", "{a}-{b}-1", "{a}/(1.5+abs({b}))", "({a})", "-{a}+{b}", "2*(-{b})",
            "sqrt(abs({a}))", "ln(1+abs({a}))", "log(2+abs({a}))", "log10(1+abs({a}))", "exp(-abs({a}))", "abs({a})",
            "sin({a})", "cos({a})", "atan({a})", "arctan({a})", "tanh({a})", "min({a},{b})", "max({a},{b})",
            "max(-{a},{b})", "sgn({a})*{b}", "int({a})+{b}", "nint({a})-{b}", "floor({a})+{b}",
            "ceil({a})", "({a})^2", "-({a})^2", "2^({b})/(1+2^abs({b}))", "1.5**2**2+{a}", "-2^2+{a}",
            "pow(abs({a}),0.5)", "pwr({a},2)", "pow(-{a},3)/(1+abs({a})^3)", "sqr({a})/3", "({a}>{b}?{a}:{b})+1",
            "({a}<=1)+{b}", "({a}>1&&{b}<2)+0.3", "({a}>1||{b}!=2)*1.7", "!({a}>1)+{b}",
            "({a}>1 ? {b} : {a})", "ternary_fcn({a}>{b},1.1,{b})", "7%4*{a}", "{a}/2/1.25", "9\\4+{a}",
            "sinh(tanh({a}))+asinh({b})", "1.1==1.1+{a}", "{a}*2-{b}*3",
        ])  # fmt: skip
        # ngspice stumbles over signs and conditions inside bare operands ("wrongly determined negation"), so those that
        # are more than a name stand in parentheses.
        a, b = (text if text.isidentifier() or _LITERAL.fullmatch(text) else f"({text})" for text in (a, b))
        return form.replace("{a}", a).replace("{b}", b)

    def value(self, names: list[str], unit: float) -> str:
        """A positive value near `unit`, in braces, in quotes, as a literal or as a bare name."""
        pick = self.random
        kind = pick.randrange(4)
        inside = self.expression(names)
        if kind == 0:
            return f"{self.random.uniform(0.3, 3) * unit:.4g}" + pick.choice(["", "ohm", "V", "q"])
        text = f"{unit:g}*(1.5+({inside})/(1+abs({inside})))"
        return f"'{text}'" if kind == 1 else "{" + text + "}"

    def params(self, names: list[str], prefix: str, count: int) -> list[str]:
        """`.param` lines in shuffled order, so that some refer forwards; returns the new names."""
        new = [f"{prefix}{i}" for i in range(count)]
        lines = []
        for i, name in enumerate(new):
            text = self.expression(names + new[:i])
            text = f"({text})/(1+abs({text}))+{i + 1}"
            lines.append(f"{name}={{{text}}}" if self.random.random() < 0.7 else f"{name.upper()} = '{text}'")
        self.random.shuffle(lines)
        while lines:
            taken, lines = lines[:2], lines[2:]
            self.lines.append(".param " + " ".join(taken))
        return new

    def body(self, names: list[str], nodes: list[str], blocks: list[tuple[str, int, list[str]]], size: int) -> None:
        """Elements between `nodes` and new ones; every new node has a resistor to an older one and one to ground."""
        pick = self.random
        nodes = list(nodes)
        for i in range(size):
            a, b = pick.choice(nodes), pick.choice([*nodes, "0"])
            new = f"n#{i}/{'ab'[i % 2]}"
            self.lines.append(f"R{i} {a} {new} {self.value(names, 1e3)}")
            self.lines.append(f"Rg{i} {new} 0 r={self.value(names, 2e3)}" + pick.choice(["", " m=2", " tc1=1m"]))
            nodes.append(new)
            kind = pick.randrange(9)
            if kind == 0:
                self.lines.append(f"I{i} {b} {new} dc {self.value(names, 1e-3)}")
            elif kind == 1:
                self.lines.append(f"G{i} {new} 0 {a} {b} {self.value(names, 1e-4)}")
            elif kind == 2:
                self.lines += [f"E{i} e{i} 0 {a} {b} {self.value(names, 0.5)}", f"Re{i} e{i} {new} 1k"]
            elif kind == 3:
                self.lines += [f"Vs{i} s{i} 0 {self.value(names, 1.0)}", f"Rs{i} s{i} {new} 1.5k"]
                self.lines.append(f"F{i} {new} 0 vs{i} {self.value(names, 0.3)}")
                self.lines += [f"H{i} h{i} 0 Vs{i} {self.value(names, 500)}", f"Rh{i} h{i} {a} 2200"]
            elif kind == 4:
                name = pick.choice([*names, "0.7"])
                factor = pick.choice([f"1e-4*{name}", f"{{1e-4*{name}}}", f"1e-4*pwr({name}-3,3)/30", "1e-4*sgn(-2)^3"])
                self.lines.append(f"B{i} {new} 0 I={factor}*V({a})+1m*({self.number()})-V({new},{a})*1e-4")
            elif kind == 5 and blocks:
                name, pins, known = pick.choice(blocks)
                # Values may use the instance's own parameters, those declared before; the caller may have the name too.
                fellows = [[*names, *known[:i]] for i in range(len(known))]
                chosen = [i for i in range(len(known)) if pick.random() < 0.6]
                given = [f"{known[i]}={self.value(fellows[i], 1.0)}" for i in chosen]
                pick.shuffle(given)
                connected = [pick.choice([*nodes, "0"]) for _ in range(pins)]
                mark = "params: " if given and pick.random() < 0.3 else ""
                self.lines.append(f"X{i} {' '.join(connected)} {name} {mark}{' '.join(given)}")
            elif kind == 6:
                self.lines.append(f"V{i} v{i} 0 pulse({self.number()} 2 1m)")
                self.lines += [f"Rv{i}", f"+ v{i} {new}", "* between", "+1k"]

    def subckt(self, name: str, outer: list[str], blocks: list[tuple[str, int, list[str]]], level: int):
        """A definition, perhaps with a local one inside; returns what an instance must know."""
        pick = self.random
        pins = [f"p{i}" for i in range(pick.randint(1, 3))]
        defaults = [f"{'wlqk'[i]}{level}" for i in range(pick.randint(0, 3))]
        given = " ".join(f"{key}={self.value([], 1.0)}" for key in defaults)
        self.lines.append(f".subckt {name} {' '.join(pins)} {given}")
        local = self.params([*outer, *defaults], f"{name}_", pick.randint(0, 3))
        names = [*outer, *defaults, *local]
        inside = list(blocks)
        if level < 2 and pick.random() < 0.5:
            inside.append(self.subckt(f"{name}in", [], [], level + 1))
        self.body(names, pins, inside, pick.randint(1, 4))
        self.lines.append(f".ends {name}" if pick.random() < 0.5 else ".ENDS")
        return name, len(pins), defaults

    def deck(self) -> str:
        """A whole deck, title first, without analysis."""
        names = self.params([], "p", self.random.randint(1, 5))
        blocks: list[tuple[str, int, list[str]]] = []
        for i in range(self.random.randint(0, 3)):
            blocks.append(self.subckt(f"blk{i}", names, blocks, 0))
        self.lines += ["Vin in 0 " + self.value(names, 1.0), ".temp 47"]
        self.body(names, ["in"], blocks, self.random.randint(3, 8))
        if self.random.random() < 0.5:
            at = next((i for i, line in enumerate(self.lines) if line.startswith(".param")), 0)
            self.lines.append(self.lines.pop(at)) if self.lines[at].count(".subckt") == 0 and at == 0 else None
        return "\n".join(["generated deck", *self.lines]) + "\n"


def random_deck(seed: int) -> str:
    """The deck of a seed."""
    return DeckWriter(seed).deck()
