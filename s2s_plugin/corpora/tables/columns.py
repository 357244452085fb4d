"""Choose the columns of a table that are the source and the target, by name, language or content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from s2s_plugin.corpora.tables.rows import Cells
from s2s_plugin.errors import UserError

SIDES = ("source", "target")

# ISO 639-1; a name such as pt-BR, zh_CN or eng_Latn (FLORES-200) is one as well.
CODE_LIST = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en "
    "eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv "
    "ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne "
    "ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st "
    "su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
CODES = frozenset(CODE_LIST.split())
# Names of languages as they stand above columns, with their codes.
NAME_LIST = (
    "arabic:ar basque:eu bengali:bn bulgarian:bg catalan:ca chinese:zh croatian:hr czech:cs danish:da dutch:nl "
    "english:en estonian:et finnish:fi french:fr galician:gl german:de greek:el hebrew:he hindi:hi hungarian:hu "
    "icelandic:is indonesian:id irish:ga italian:it japanese:ja kazakh:kk korean:ko latin:la latvian:lv "
    "lithuanian:lt malay:ms marathi:mr nepali:ne norwegian:no persian:fa polish:pl portuguese:pt romanian:ro "
    "russian:ru serbian:sr slovak:sk slovenian:sl spanish:es swahili:sw swedish:sv tamil:ta telugu:te thai:th "
    "turkish:tr ukrainian:uk urdu:ur vietnamese:vi welsh:cy"
)
NAMES = dict(entry.split(":") for entry in NAME_LIST.split())
CODE = re.compile(r"([a-z]{2})([-_][a-z0-9]{2,8})*|[a-z]{3}[-_][a-z]{4}", re.IGNORECASE)
NOT_TEXT = {"", "id", "idx", "index", "no", "nr", "guid", "uuid", "unnamed: 0", "__index_level_0__"}

# Names of the two sides in common use.
ROLES = tuple(
    tuple(set(names.split()) for names in pair.split(" : "))
    for pair in (
        "source src source_text src_text source_sentence : "
        "target tgt trg target_text tgt_text target_sentence reference translation",
        "input inputs input_text : output outputs output_text target label",
        "question query : answer response reply",
        "text article document dialogue body content : summary highlights abstract headline title subject",
        "prompt instruction : response completion output",
        "word words grapheme graphemes orthography : pronunciation ipa phonemes phoneme transcription",
        "nl description intent natural_language : cmd command code bash snippet",
        "turns context message : reply response",
        "sentence original : translation corrected correction simplified paraphrase",
        "sentence1 : sentence2",
    )
)
HEADERS = set().union(*(side for pair in ROLES for side in pair), NOT_TEXT - {""}, {"label", "score", "lang", "url"})
MAX_SHOWN = 20  # characters of a cell in a message
NON_TEXT = re.compile(r"[-+]?[\d.,:/ %-]*\d[\d.,:/ %-]*([eE][-+]?\d+)?|true|false|https?://\S+|[0-9a-f-]{32,36}", re.I)


def last_name(column: str) -> str:
    """Return the name of a nested column inside its parent: ``translation.en`` is ``en``."""
    return column.rpartition(".")[2].strip()


def language_of(column: str) -> str | None:
    """Return the code of the language that a column is named by, ``de`` or ``German``, or None."""
    name = last_name(column)
    if name.lower() in NAMES:
        return NAMES[name.lower()]
    match = CODE.fullmatch(name)
    if match is None or (match[1] and match[1].lower() not in CODES):
        return None
    return name.lower() if len(name) == 2 else name


def is_known(name: str) -> bool:
    """Return whether a cell of the first row can only be the name of a column."""
    return name.strip().lower() in HEADERS or language_of(name) is not None


def is_text(values: Sequence[Any]) -> bool:
    """Return whether a column's values are mostly text, not numbers, dates, addresses or keys."""
    filled = [value for value in values if value is not None and value != ""]
    texts = [value for value in filled if isinstance(value, str) and not NON_TEXT.fullmatch(value.strip())]
    return bool(filled) and 2 * len(texts) > len(filled)


def choose(
    path: object, rows: Sequence[Cells], columns: Mapping[str, Any], languages: Mapping[str, str | None]
) -> tuple[str, str]:
    """Return the columns of the source and of the target.

    Args:
        path: of the table, for messages.
        rows: the first ones.
        columns: for each side the name or the number, from 1, that the user chose, or None.
        languages: for each side the language that the user chose, or None.

    Raises:
        UserError: there is no such column, or the choice is ambiguous.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    chosen = {side: _by_option(path, names, side, columns[side]) for side in SIDES}
    for side in SIDES:
        chosen[side] = chosen[side] or _by_language(names, languages[side])
    if None in chosen.values():
        chosen = _sniff(names, rows, chosen)
    source, target = (chosen[side] for side in SIDES)
    if source is None or target is None:
        shown = ", ".join(
            f"{number} {name}" if name != str(number) else f"{number} ({str(rows[0].get(name))[:MAX_SHOWN]!r})"
            for number, name in enumerate(names, start=1)
        )
        raise UserError(
            f"{path}: which columns are the source and the target? There are: {shown}; "
            "set data.source_column=NAME data.target_column=NAME (or numbers)"
        )
    if source == target:
        raise UserError(f"{path}: the source and the target must be different columns, got '{source}' twice")
    return source, target


def choose_source(path: object, names: list[str], column: Any, language: str) -> str:
    """Return the column with the sources: the one that the user chose, or that is named by their language.

    Raises:
        UserError: there is none.
    """
    chosen = _by_option(path, names, "source", column) or _by_language(names, language)
    same = [name for name in names if language_of(name) == language]
    if chosen is None and len(same) == 1:
        chosen = same[0]
    if chosen is None:
        raise UserError(f"{path}: which column of the table? Set data.source_column to one of: {', '.join(names)}")
    return chosen


def _by_option(path: object, names: list[str], side: str, column: Any) -> str | None:
    if column is None or str(column) in names:
        return None if column is None else str(column)
    if str(column).isdigit() and 1 <= int(column) <= len(names):
        return names[int(column) - 1]
    raise UserError(f"{path}: data.{side}_column={column}: there is no such column; there are: {', '.join(names)}")


def _by_language(names: list[str], language: str | None) -> str | None:
    """Return the only column that is named by the language, if there is one."""
    if language is None:
        return None
    same = [name for name in names if last_name(name).lower() == language.lower()]
    return language if language in names else same[0] if len(same) == 1 else None


def _sniff(names: list[str], rows: Sequence[Cells], chosen: dict[str, str | None]) -> dict[str, str | None]:
    """Return the choice, completed where only one completion is plausible."""
    names = [name for name in names if name in chosen.values() or last_name(name).lower() not in NOT_TEXT]
    texts = [name for name in names if is_text([row.get(name) for row in rows])]
    candidates = [pair for roles in ROLES if (pair := _by_role(names, roles)) is not None]
    coded = [name for name in texts if language_of(name)]
    both = texts or names  # sums and their results, for example
    candidates += [(two[0], two[1]) for two in (coded, both) if len(two) == 2]
    for pair in candidates:
        for source, target in (pair, pair[::-1]):
            if chosen["source"] in (None, source) and chosen["target"] in (None, target):
                return {"source": source, "target": target}
    return chosen


def _by_role(names: list[str], roles: Sequence[set[str]]) -> tuple[str, str] | None:
    """Return the columns with these names, if there is one for each side."""
    matches = [[name for name in names if last_name(name).lower() in role] for role in roles]
    return (matches[0][0], matches[1][0]) if [len(each) for each in matches] == [1, 1] else None


def languages_of(source: str, target: str) -> tuple[str, str]:
    """Return the languages that two columns are named by; ``source`` and ``target`` where they are not."""
    codes = language_of(source), language_of(target)
    return ("source", "target") if codes[0] == codes[1] else (codes[0] or "source", codes[1] or "target")
