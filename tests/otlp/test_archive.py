"""Archives as other programs write them: one request a line, one document over many, arrays, and what is damaged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmig.otlp.archive import CUT_OFF, Document, documents


def _request(number: int) -> dict[str, Any]:
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": f"{number:016x}"}
    span = {**ids, "name": 'a "}]{" name\\', "attributes": [{"key": "k", "value": {}}], "kind": 2}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


_REQUESTS = [_request(number) for number in (1, 2, 3)]
_FORMS = {
    "lines": "\n".join(json.dumps(each) for each in _REQUESTS),
    "pretty, one after the other": "\n".join(json.dumps(each, indent=2) for each in _REQUESTS),
    "pretty, with tabs": "\n\n".join(json.dumps(each, indent="\t") for each in _REQUESTS),
    "pretty, not indented": "\n".join(json.dumps(each, indent=0) for each in _REQUESTS),
    "an array": json.dumps(_REQUESTS),
    "an array, one request a line": "[\n" + ",\n".join(json.dumps(each) for each in _REQUESTS) + "\n]",
    "a pretty array": json.dumps(_REQUESTS, indent=4),
    "mixed": f"{json.dumps(_REQUESTS[0])}\n{json.dumps(_REQUESTS[1], indent=1)}\n{json.dumps([_REQUESTS[2]])}",
}


def _read(text: str | bytes, size: int = 100) -> list[Document]:
    data = text.encode() if isinstance(text, str) else text
    return list(documents(data[begin : begin + size] for begin in range(0, len(data), size)))


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("begin", ["", "\ufeff", "\n"])
def test_forms_of_archives(form: str, begin: str, end: str) -> None:
    """Whatever the form, each request is one document on one line, in order; none is said to be damaged."""
    found = _read(begin + _FORMS[form] + end)
    assert [json.loads(each.line) for each in found] == _REQUESTS
    assert not any(b"\n" in each.line for each in found)
    assert not any(each.flaw and each.flaw != CUT_OFF for each in found)


def test_numbers_of_lines() -> None:
    """A document is named by the line on which it begins."""
    assert [each.number for each in _read(_FORMS["pretty, one after the other"])] == [
        1 + index * len(json.dumps(_REQUESTS[0], indent=2).splitlines()) for index in range(3)
    ]


@pytest.mark.parametrize("indent", [2, None])
def test_one_that_is_cut_off_takes_no_other(indent: int | None) -> None:
    """A request that ends in its middle, wherever, is one broken document; the next one is read."""
    first, second = (json.dumps(each, indent=indent) for each in _REQUESTS[:2])
    for end in range(1, len(first)):
        found = _read(f"{first[:end]}\n{second}\n")
        assert json.loads(found[-1].line) == _REQUESTS[1]
        assert len(found) == 2
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
            json.loads(found[0].line)


def test_cut_off_at_the_end() -> None:
    """What is cut off at the end is one flaw, of the line or of the document."""
    one, pretty = json.dumps(_REQUESTS[0]), json.dumps(_REQUESTS[0], indent=2)
    (line,) = _read(one[:-10])
    assert (line.number, line.flaw) == (1, CUT_OFF)
    (document,) = _read(pretty[:-10])
    assert (document.number, document.flaw) == (1, "the document that begins here is cut off")


@pytest.mark.parametrize("text", ["[]", "[ ]", "[1,]", '[{"a":1} {"b":2}]', "[" * 100_000, "]", "}{", '[{"a":1}] x'])
def test_what_is_no_array_of_requests_is_one_document(text: str) -> None:
    """It is not taken apart: whoever parses it says what it is."""
    (document,) = _read(text + "\n", 1000)
    assert document.line.decode() == text


def test_too_long_document() -> None:
    """A document over many lines is bounded as a line is, and what follows is read."""
    value = json.dumps("x" * (1 << 20))
    text = '{\n "a": [\n' + f"  {value},\n" * 70 + "  1\n ]\n}\n" + json.dumps(_REQUESTS[0])
    found = _read(text, 1 << 20)
    assert (found[0].number, found[0].line, found[0].flaw) == (1, b"", "the line is too long")
    assert json.loads(found[1].line) == _REQUESTS[0]
    assert len(found) == 2


@given(st.lists(st.sampled_from(['{"a":', "[", "]", "}", '"', "{", " {", '{"resourceSpans":[]}', "", "x", "\\"])))
def test_reading_is_total(lines: list[str]) -> None:
    """Whatever the lines are, every one that is not empty is in some document, once."""
    found = _read("\n".join(lines))
    assert re.sub(r"[ \[\]]", "", "".join(each.line.decode() for each in found)) == re.sub(
        r"[ \[\]]", "", "".join(lines)
    )
