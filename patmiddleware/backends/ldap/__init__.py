"""People and groups in an LDAP directory, through python-ldap."""

from .directory import LDAPDirectory

__all__ = ["LDAPDirectory"]
