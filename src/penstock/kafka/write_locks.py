"""Take the right to write a topic from everybody for a while, and give it back.

    lock ─┬─▶ DENY WRITE for User:* (and ALLOW ALL where the topic had no ACL) ─▶ seen
          └─▶ no authorizer: max.message.bytes = 0, so that every record is too large
    unlock ─▶ these undone, nobody else's

A first ACL on a topic shuts everybody out where ``allow.everyone.if.no.acl.found`` was in force:
the ALLOW keeps the other operations as they were. A cluster without an authorizer cannot refuse
a writer, but it refuses every batch of more than no bytes, whatever acks the writer asks for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from penstock.errors import NotReady, RemoteError
from penstock.kafka.admin import Admin

__all__ = ["lock", "unlock"]

_EVERYBODY = "User:*"
_POLL_S = 0.05
# Brokers learn of a lock one after the other; reads lag writes by about 50 ms.
_SPREADS_WITHIN_S = 0.25

_SIZE_LIMIT = "max.message.bytes"
_NOTHING_FITS = "0"

_NO_AUTHORIZER = frozenset({KafkaError.SECURITY_DISABLED})


def lock(admin: Admin, topic: str) -> None:
    """Refuse every new record.

    Raises:
        NotReady: when the cluster does not answer, or does not show the lock, in time.
        Refused: when it does not let Penstock alter ACLs or configuration.
    """
    present = _acls_that_match(admin, topic)
    wanted = [_denial(topic)] if present else [_denial(topic), _allowance(topic)]
    for future in admin.client.create_acls(wanted, request_timeout=admin.timeout_s).values():
        try:
            admin.wait(future, doing=f"refuse writes to {topic}")
        except RemoteError as error:
            if not _says_no_authorizer(error):
                raise
            admin.alter_config(topic, values={_SIZE_LIMIT: _NOTHING_FITS}, unset=())
            break
    _await_lock(admin, topic)


def unlock(admin: Admin, topic: str, *, config: Mapping[str, str]) -> None:
    """Undo `lock`, and nothing else; to be called only where it was called.

    Args:
        admin: of the cluster.
        topic: physical name; one that is gone has left its ACLs.
        config: the topic's own configuration before `lock`.

    Raises:
        NotReady: when the cluster does not answer in time.
    """
    ours = {_denial(topic), _allowance(topic)}
    # Beside other ACLs the ALLOW is not ours: `lock` adds it only where there were none. The DENY
    # is removed unseen, since the broker that is asked may not have heard of it yet.
    others = set(_acls_that_match(admin, topic)) - ours
    doomed = {_denial(topic)} if others else ours
    filters = [_as_filter(binding) for binding in sorted(doomed)]
    for future in admin.client.delete_acls(filters, request_timeout=admin.timeout_s).values():
        admin.wait(future, doing=f"allow writes to {topic}", fine=_NO_AUTHORIZER)
    if _is_locked_by_size(admin, topic):
        was = {key: value for key, value in config.items() if key == _SIZE_LIMIT}
        admin.alter_config(topic, values=was, unset=() if was else (_SIZE_LIMIT,))


def _is_locked_by_size(admin: Admin, topic: str) -> bool:
    return admin.has_topic(topic) and admin.effective_config(topic, _SIZE_LIMIT) == _NOTHING_FITS


def _says_no_authorizer(error: RemoteError) -> bool:
    cause = error.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() in _NO_AUTHORIZER


def _acls_that_match(admin: Admin, topic: str) -> list[AclBinding]:
    matching = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.MATCH,
        None,  # type: ignore[arg-type]  # any principal
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    asked = admin.client.describe_acls(matching, request_timeout=admin.timeout_s)
    # Without an authorizer there are none; brokers answer that with an error or with no ACLs.
    return admin.wait(asked, doing=f"list who may use {topic}", fine=_NO_AUTHORIZER) or []


def _await_lock(admin: Admin, topic: str) -> None:
    deadline = time.monotonic() + admin.timeout_s
    while not (
        _denial(topic) in _acls_that_match(admin, topic) or _is_locked_by_size(admin, topic)
    ):
        if time.monotonic() > deadline:
            raise NotReady(f"{admin.where} does not show that {topic} is locked; try again")
        time.sleep(_POLL_S)
    time.sleep(_SPREADS_WITHIN_S)


def _denial(topic: str) -> AclBinding:
    return _binding(topic, AclOperation.WRITE, AclPermissionType.DENY)


def _allowance(topic: str) -> AclBinding:
    return _binding(topic, AclOperation.ALL, AclPermissionType.ALLOW)


def _binding(topic: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        _EVERYBODY,
        "*",
        operation,
        permission,
    )


def _as_filter(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
