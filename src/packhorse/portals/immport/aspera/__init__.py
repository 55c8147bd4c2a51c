"""Files by Aspera: a real ``ascp`` where there is one (spec immport §5). Never a shell, never a token in ``argv``."""

from packhorse.portals.immport.aspera.find import find_ascp, find_keys
from packhorse.portals.immport.aspera.route import Aspera

__all__ = ["Aspera", "find_ascp", "find_keys"]
