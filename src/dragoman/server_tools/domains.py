"""The domains that a request allows or blocks for tools that read the web."""

from dataclasses import dataclass

from yarl import URL


@dataclass(frozen=True, slots=True)
class DomainRules:
    """`allowed`: only these, if there are any; `blocked`: not these. `example.com` covers its subdomains, `a.b/c` its paths."""

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    def permit(self, url: URL) -> bool:
        """Whether a URL may be read."""
        if any(_covers(rule, url) for rule in self.blocked):
            return False
        return not self.allowed or any(_covers(rule, url) for rule in self.allowed)


def _covers(rule: str, url: URL) -> bool:
    host, _, path = rule.strip().lower().removeprefix("https://").removeprefix("http://").partition("/")
    own = (url.host or "").lower().rstrip(".")
    return bool(host) and (own == host or own.endswith(f".{host}")) and _below(path.removesuffix("*").rstrip("/"), url)


def _below(path: str, url: URL) -> bool:
    own = url.path.lower().lstrip("/")
    return not path or own == path or own.startswith(f"{path}/")
