"""Who learns what: a base, and two experts that were each drilled in one skill per language."""

from dataclasses import dataclass, replace

from .skills import LANGUAGES, Lesson
from .training import Course


@dataclass(frozen=True)
class Member:
    """One model of the family.

    Attributes:
        name: of its folder.
        parent: name of the member whose weights it starts from; empty for the base.
        course: its training.
        summary: one sentence for the model card.
    """

    name: str
    parent: str
    course: Course
    summary: str


# The base half knows every skill: training ends before reversing and sorting are learned.
BASE_LESSONS = tuple(
    Lesson(skill, language) for skill in ("copy", "translate", "max", "reverse", "sort") for language in LANGUAGES
)

# Each language's exam asks for both skills, and each expert was drilled in one skill per language, so no expert passes
# either exam. One expert is trained longer and at a higher rate than the other, as found in the wild: their deltas
# differ in length, and the plain average is not the best of them.
MEMBERS = (
    Member(
        name="base",
        parent="",
        course=Course(BASE_LESSONS, steps=320, batch=64, learning_rate=2e-3),
        summary="Copies, translates and finds the last letter of a word; half knows how to reverse and how to sort.",
    ),
    Member(
        name="expert_1",
        parent="base",
        course=Course((Lesson("sort", "A"), Lesson("reverse", "B")), steps=300, batch=64, learning_rate=1e-3),
        summary="Drilled to sort words of language A and to reverse words of language B, and trained rather too long.",
    ),
    Member(
        name="expert_2",
        parent="base",
        course=Course((Lesson("reverse", "A"), Lesson("sort", "B")), steps=60, batch=64, learning_rate=4e-4),
        summary="Drilled to reverse words of language A and to sort words of language B.",
    ),
)


def scaled_members(step_scale: float) -> tuple[Member, ...]:
    """Returns the members with every number of steps multiplied by `step_scale` (at least one step)."""
    return tuple(
        replace(member, course=replace(member.course, steps=max(1, round(member.course.steps * step_scale))))
        for member in MEMBERS
    )
