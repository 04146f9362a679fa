"""Who asks, and what they may: by user token, the same one that opens the dashboard socket.

``viewer`` reads, ``operator`` also acts, ``admin`` also revokes tokens; the claim ``tenants`` says
whose pipelines, and a token without it is for no pipelines at all. 401 is for no token or a bad
one, 403 for a good one that does not allow this.
"""

from typing import Any, Final

from litestar import Request
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException

from handlers.http.backend import backend_of
from handlers.http.errors import ProblemError
from handlers.request_rates import wait_for
from handlers.run_tokens import User

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


def user_of(request: Request[Any, Any, Any], *, in_query: bool = False) -> User:
    """Return who asks, whatever they may do.

    Args:
        request: With ``Authorization: Bearer <token>``.
        in_query: Also take ``?token=``: what opens event streams in browsers sets no headers.

    Raises:
        NotAuthorizedException: There is no token, or it is not genuine or not in force: 401.
        ProblemError: The user asks too often: 429.
    """
    gateway = backend_of(request).gateway
    user = gateway.user_tokens.verify(_token(request, in_query))
    if user is None:
        raise NotAuthorizedException("A valid user token is needed.", headers=_CHALLENGE)
    wait = wait_for(gateway.rates.users, user.subject)
    if wait:
        raise ProblemError("rate_limited", retry_after=wait)
    return user


def viewer_of(request: Request[Any, Any, Any], *, in_query: bool = False) -> User:
    """Return who asks, if they may see pipelines.

    Args:
        request: With ``Authorization: Bearer <token>``.
        in_query: Also take ``?token=``: what opens event streams in browsers sets no headers.

    Raises:
        NotAuthorizedException: There is no token, or it is not genuine or not in force: 401.
        PermissionDeniedException: It is not for pipelines: 403.
    """
    user = user_of(request, in_query=in_query)
    if user.tenants is None:
        raise PermissionDeniedException("This token is not for pipelines.")
    return user


def operator_of(request: Request[Any, Any, Any]) -> User:
    """Return who asks, if they may act on pipelines.

    Raises:
        NotAuthorizedException: As for :func:`viewer_of`.
        PermissionDeniedException: As there, or the role does not allow it: 403.
    """
    user = viewer_of(request)
    if not user.may("operator"):
        raise PermissionDeniedException("Only operators may do this.")
    return user


def require_tenant(user: User, tenant_id: str | None) -> None:
    """Refuse somebody who may not see a tenant's pipelines; those of nobody are everybody's.

    Raises:
        PermissionDeniedException: 403.
    """
    if not user.sees_tenant(tenant_id):
        raise PermissionDeniedException("This pipeline belongs to another tenant.")


def _token(request: Request[Any, Any, Any], in_query: bool) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.query_params.get("token") if in_query else None
