"""Single values: text into what it means, or a problem that names the fix.

A reader never raises: what is wrong is noted in the findings and an acceptable stand-in is returned, so that
the remaining values are checked as well. Rules between values are in `components.consistency`.
"""

import re
from collections.abc import Callable

import pulumi

from components import cron, naming, regions, sizing
from components.options import AUTO, OFF
from components.problems import Findings

_DIGEST = re.compile(r"[a-z0-9][a-z0-9./_:-]*[a-z0-9](?::[\w.-]+)?@sha256:[0-9a-f]{64}", re.ASCII)
_MEMBER = re.compile(r"(user|group|serviceAccount|domain|principal|principalSet):\S+")
_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_ENGINE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[1-9]\d{0,4})?(?:/[A-Za-z0-9._~/-]*)?")
_SHORTEST_KEY = 16


class Reader:
    """Reads values by kind and notes every one that cannot be read."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def text(self, key: str) -> str:
        """Return the value as it is, without surrounding blanks."""
        return self._findings.values[key].strip()

    def _problem(self, key: str, reason: str, example: str) -> None:
        self._findings.add(key, reason, fix=f"pulumi config set {key} {example}")

    def choice(self, key: str, allowed: tuple[str, ...], *, auto: str | None = None) -> str:
        """Return one of the allowed words."""
        text = self.text(key)
        if text == AUTO and auto is not None:
            text = auto
        if text in allowed:
            return text
        reason = f"must be one of {', '.join(allowed)}"
        if auto is not None and self.text(key) == AUTO:
            reason = f"the stack's name, {auto}, does not tell it; {reason}"
        self._problem(key, reason, allowed[0])
        return allowed[0]

    def integer(self, key: str, low: int = 0, high: int = 2**31, *, auto: int | None = None) -> int:
        """Return a whole number within bounds."""
        text = self.text(key)
        if text == AUTO and auto is not None:
            return auto
        if re.fullmatch(r"\d{1,10}", text, re.ASCII) and low <= int(text) <= high:
            return int(text)
        nearest = min(max(int(text), low), high) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else low
        self._problem(key, f"must be a whole number from {low} to {high}", str(nearest))
        return nearest

    def boolean(self, key: str, *, auto: bool | None = None) -> bool:
        """Return true or false."""
        text = self.text(key).lower()
        if text == AUTO and auto is not None:
            return auto
        if text not in ("true", "false"):
            self._problem(key, "must be true or false", "true")
        return text == "true"

    def quantity(self, key: str, *, auto: int | None = None, zero: bool = False) -> int:
        """Return MiB from a quantity such as 8Gi."""
        text = self.text(key)
        if text == AUTO and auto is not None:
            return auto
        if zero and text == "0":
            return 0
        mib = sizing.mebibytes(text)
        if mib is None:
            whole = re.match(r"\d+", text)
            self._problem(key, "must be a number with Mi or Gi", f"{whole[0] if whole else 4}Gi")
            return auto or 0
        return mib

    def project(self, key: str) -> str:
        """Return a project id."""
        text = self.text(key)
        if re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", text):
            return text
        reason = "a Google Cloud project id is needed" if not text else "this is not a Google Cloud project id"
        if text.isdigit():
            reason = "this is a project number; the id is needed (gcloud projects describe NUMBER)"
        self._problem(key, reason, "my-project-id")
        return "missing-project"

    def region(self, key: str, *, auto: str | None = None) -> str:
        """Return a region in which Cloud Run runs."""
        text = self.text(key)
        if text == AUTO and auto is not None:
            return auto
        if text not in regions.CLOUD_RUN_REGIONS:
            reason = f"Cloud Run has no region {text}" if text else "a Cloud Run region is needed"
            self._problem(key, reason, regions.nearest(text))
        return text

    def name(self, key: str, *, auto: str) -> str:
        """Return a base name to which every suffix can be added."""
        text = self.text(key)
        text = auto if text == AUTO else text
        faults = []
        if len(text) > naming.BASE_LIMIT:
            faults.append(
                f"{text!r} has {len(text)} characters, at most {naming.BASE_LIMIT} leave room for "
                f"{naming.LONGEST_SUFFIX} in a service account's {naming.ACCOUNT_LIMIT}"
            )
        if not naming.BASE_PATTERN.fullmatch(text):
            faults.append(f"{text!r} is not small letters, digits and dashes beginning with a letter")
        if "goog" in text:
            faults.append("Cloud Storage refuses bucket names like Google's own")
        if faults:
            self._problem(key, "; ".join(faults), naming.shortened(text.replace("goog", "g")))
        return text

    def listed(self, key: str) -> tuple[str, ...]:
        """Return the entries of a comma-separated value."""
        return tuple(entry for entry in (part.strip() for part in self.text(key).split(",")) if entry)

    def members(self, key: str) -> tuple[str, ...]:
        """Return IAM members, none of them everybody."""
        entries = self.listed(key)
        for entry in entries:
            if entry in ("allUsers", "allAuthenticatedUsers"):
                self._findings.add(key, f"{entry} is everybody", fix="pulumi config set public true")
            elif not _MEMBER.fullmatch(entry):
                self._problem(key, f"{entry!r} is not an IAM member", "user:you@example.com")
        return entries

    def emails(self, key: str) -> tuple[str, ...]:
        """Return mail addresses."""
        entries = self.listed(key)
        for entry in entries:
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", entry):
                self._problem(key, f"{entry!r} is not a mail address", "you@example.com")
        return entries

    def address(self, key: str) -> str:
        """Return the address of a site, or nothing."""
        text = self.text(key)
        if text and not re.fullmatch(r"https://[^\s/?#]+(?:/[^\s?#]*)?", text):
            self._problem(key, "must be the https:// address of a site", "https://docs.example.com/qdrant")
        return text

    def names(self, key: str) -> tuple[str, ...]:
        """Return collection names."""
        entries = self.listed(key)
        for entry in entries:
            if "/" in entry or len(entry) > 255:
                self._problem(key, f"{entry!r} cannot be a collection's name", "docs,images")
        return entries

    def digest(self, key: str) -> str:
        """Return an image reference by digest, or nothing."""
        text = self.text(key)
        if text and not _DIGEST.fullmatch(text):
            self._problem(
                key,
                "only an image's digest says which bytes run, a tag can move",
                f"{text.partition('@')[0]}@sha256:… (docker buildx imagetools inspect {text} prints it)",
            )
        return text

    def prefix(self, key: str) -> str:
        """Return a folder in the bucket."""
        text = self.text(key)
        if not re.fullmatch(r"[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?", text) or "//" in text or ".." in text:
            self._problem(key, "must be small letters, digits, . _ - and / within", "qdrant")
        return text

    def kms_key(self, key: str) -> str:
        """Return the full name of a KMS key, or nothing."""
        text = self.text(key)
        if text and not _KMS_KEY.fullmatch(text):
            self._problem(key, "not a key's full name", "projects/P/locations/L/keyRings/R/cryptoKeys/K")
        return text

    def checked(self, key: str, fault: Callable[[str], str | None], *, like: str) -> str:
        """Return text in which a rule finds no fault."""
        text = self.text(key)
        found = fault(text)
        if found:
            self._problem(key, found, f"'{like}'")
        return text

    def schedule(self, key: str, *, like: str) -> str:
        """Return a cron expression, or nothing where it is off."""
        return "" if self.text(key) == OFF else self.checked(key, cron.cron_fault, like=like)

    def engine_url(self, key: str) -> str:
        """Return the address of a Qdrant, or nothing."""
        text = self.text(key)
        if text and not _ENGINE_URL.fullmatch(text):
            self._problem(key, "must be http:// or https:// with a host, without user and key", "https://HOST:6333")
        return text.rstrip("/")

    def secret(self, key: str, *, stored_secret: bool) -> pulumi.Output[str] | None:
        """Return a key of the user's own, never in clear, or None."""
        text = self.text(key)
        if not text:
            return None
        again = f"pulumi config set --secret {key}"
        if not stored_secret:
            self._findings.add(key, "stored in clear in the stack's file; it counts as leaked", fix=again)
        if len(text) < _SHORTEST_KEY or not re.fullmatch(r"[!-~]+", text):
            self._findings.add(key, f"needs {_SHORTEST_KEY} or more printable characters without blanks", fix=again)
        return pulumi.Output.secret(text)
