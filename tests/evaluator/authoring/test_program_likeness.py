"""Functions are compared by their trees and words; a text that is not Python has none."""

import pytest

from evaluator.authoring.program_likeness import ProgramIndex, programs

CLOSE = '''
def has_close_elements(numbers: list[float], threshold: float) -> bool:
    """Check if two numbers are closer to each other than the threshold."""
    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers):
            if idx != idx2:
                distance = abs(elem - elem2)
                if distance < threshold:
                    return True
    return False
'''
RENAMED = """
def near(values, limit):
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if i != j:
                d = abs(a - b)
                if d < limit:
                    return True
    return False
"""
REWRITTEN = '''
def nearby_elements_exist(number_list, difference_limit):
    """Verify if there are two numbers closer to each other than the difference limit."""
    idx = 0
    while idx < len(number_list):
        for other in range(len(number_list)):
            if idx != other:
                distance = abs(number_list[idx] - number_list[other])
                if distance < difference_limit:
                    return True
        idx += 1
    return False
'''
UNLIKE = '''
def vowels(text):
    """Count the vowels of a text."""
    return sum(letter in "aeiou" for letter in text.lower()) + text.endswith("y")
'''
INDEX = ProgramIndex([UNLIKE, CLOSE])


def test_the_same_program_with_other_names() -> None:
    [program] = programs(RENAMED)
    [alike] = INDEX.find(program)
    assert (alike.item, alike.same, alike.tree) == (1, True, 1.0)


def test_other_constants_are_another_program() -> None:
    [program] = programs(RENAMED.replace("return True", "return None"))
    [alike] = INDEX.find(program)
    assert (alike.same, alike.tree) == (False, 1.0)


def test_a_rewritten_program_is_found_by_tree_and_words() -> None:
    [program] = programs(REWRITTEN)
    [alike] = INDEX.find(program)
    assert (alike.item, alike.same) == (1, False)
    assert alike.score > alike.tree > 0.5


def test_an_unlike_program_is_not() -> None:
    [program] = programs(UNLIKE)
    assert [alike.item for alike in ProgramIndex([CLOSE]).find(program)] == []


def test_functions_in_classes_and_code_blocks_are_found() -> None:
    method = (
        "class A:\n    def f(self, x):\n        return x\n\n    def g(self):\n        return 1\n"
    )
    assert [program.name for program in programs(method)] == ["f", "g"]
    answer = f"Here it is:\n```python\n{RENAMED}```\nand\n```\ndef g():\n    pass\n```\n"
    assert [program.name for program in programs(answer)] == ["near", "g"]


@pytest.mark.parametrize(
    "text",
    ["def", "we def initely agree", "def f(:", "def f():\n" + "(" * 5000, "def f(): return '\0'"],
)
def test_what_is_not_python_has_no_programs(text: str) -> None:
    assert programs(text) == []


@pytest.mark.parametrize("number", ["2⁶⁴", "⁶⁴", "፩፪"])
def test_digits_that_are_no_decimals_are_words(number: str) -> None:
    [program] = programs(f'def f():\n    """Return {number} bytes."""\n')
    assert "byte" in program.words
