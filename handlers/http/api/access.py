"""What all controllers of the API share: who asks, what they may see, and how a read is answered.

A token names projects; everything is looked up among them, in SQL. What belongs to another project
is not there: 404. A token that may see but not act is answered 403.
"""

from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from litestar import Request, Response

from handlers.gateway import Gateway
from handlers.http.auth import user_of
from handlers.http.backend import backend_of
from handlers.http.errors import ProblemError, field_problem, refusal_problem
from handlers.run_tokens import Role, User
from schema.refused import Refused

Asked = Request[Any, Any, Any]
T = TypeVar("T")


def gateway_of(request: Asked) -> Gateway:
    """Return the gateway that a request is for."""
    return backend_of(request).gateway


def asker(request: Asked, role: Role = "viewer") -> User:
    """Return who asks.

    Raises:
        NotAuthorizedException: There is no token, or it is not genuine or not in force: 401.
        ProblemError: The role does not allow it: 403.
    """
    user = user_of(request)
    if not user.may(role):
        raise ProblemError("forbidden", f"Only {role}s may do this.")
    return user


def scope(user: User, project: UUID | None = None) -> list[UUID]:
    """Return the projects to look in: all of the user's, or the one that is asked for.

    Raises:
        ProblemError: The user may not see that one: 404, as if it did not exist.
    """
    if project is None:
        return sorted(user.projects)
    if project not in user.projects:
        raise ProblemError("not_found", "There is no such project.")
    return [project]


def accept(answer: T | Refused) -> T:
    """Return what the schema answered.

    Raises:
        ProblemError: It refused.
    """
    if isinstance(answer, Refused):
        raise refusal_problem(answer)
    return answer


def found(answer: T | Refused | None, what: str) -> T:
    """Return what the schema found.

    Raises:
        ProblemError: It refused; 404 if there is none that the user may see.
    """
    if answer is None:
        raise ProblemError("not_found", f"There is no such {what}.")
    return accept(answer)


def answer(kind: type[T], text: str | bytes, *, keep: bool = False) -> Response[T]:
    """Return an answer whose JSON the database made, declared as ``kind``.

    Args:
        kind: The struct that describes it; the tests compare every answer with it.
        text: The JSON.
        keep: Clients may keep it and ask with its tag whether it still holds
            (:mod:`handlers.http.finishing`).
    """
    body = text.encode() if isinstance(text, str) else text
    headers = {} if keep else {"Cache-Control": "no-store"}
    return cast("Response[T]", Response(body, media_type="application/json", headers=headers))


def comma_list(name: str, text: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of a parameter that takes several, with commas between.

    Raises:
        ProblemError: One is not allowed: 422.
    """
    values = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for value in values:
        if value not in allowed:
            raise field_problem(name, f"{value!r} is none of {', '.join(allowed)}")
    return values


def moment(name: str, text: str | None) -> datetime | None:
    """Return a time of the query.

    Raises:
        ProblemError: It is none, or does not say its time zone: 422.
    """
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        found = datetime.fromisoformat(text.strip().replace(" 0", "+0").replace(" 1", "+1"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise field_problem(name, "must be a time with its zone, as 2026-01-31T12:00:00Z")
    return found


async def body_of(request: Asked, kind: type[T]) -> T:
    """Return the JSON body of a request, an empty one being an empty object.

    Raises:
        ProblemError: It is no JSON: 415; or does not fit: 422, naming the path in it.
    """
    raw = await request.body() or b"{}"
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `")
        field = path.rstrip("`").removeprefix("$").removeprefix(".")
        raise field_problem(field or "body", detail, "invalid_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProblemError("not_json", "The body is no JSON.") from None
