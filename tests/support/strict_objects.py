"""What Cloud Storage's JSON API answers to a request, apart from any transport."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import google_crc32c

MIB = 1 << 20
OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/(.+)")
BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
LISTING = re.compile(r"/storage/v1/b/([^/]+)/o")
UPLOAD = re.compile(r"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o")
SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    cut: bool = False
    status: int = 0

    def header(self, name: str) -> str:
        """Return a header, whatever its case."""
        return next((v for k, v in self.headers.items() if k.lower() == name), "")

    @property
    def finalises(self) -> bool:
        """Say whether this is the last request of an upload of known length."""
        return self.method == "PUT" and not self.header("content-range").endswith("/*")


@dataclass
class Answer:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200) -> "Answer":
        """Return JSON."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    @classmethod
    def error(cls, status: int, message: str) -> "Answer":
        """Return an error in the API's shape."""
        problem = {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}
        return cls.json({"error": problem}, status)


@dataclass
class Stored:
    """An object. Without an MD5, as the service's composed objects are."""

    name: str
    data: bytes
    generation: int
    crc32c: str
    md5: str | None

    def hashes(self) -> dict[str, str]:
        """Return its checksums as a resource names them."""
        return {"crc32c": self.crc32c} | ({"md5Hash": self.md5} if self.md5 else {})


@dataclass
class Session:
    """A resumable upload."""

    name: str
    metadata: dict[str, str]
    query: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    answer: Answer | None = None


class StrictObjects:
    """One bucket. `restricted`: the account may not delete, nor overwrite anything but HEAD.

    `permits`: whether the account may get, list, create or delete an object of this name, as IAM would decide;
    whoever overwrites must be permitted both to create and to delete.
    """

    def __init__(self, bucket: str, page_size: int, *, md5: bool = True) -> None:
        self.md5 = md5
        self.bucket = bucket
        self.page_size = page_size
        self.restricted = False
        self.denied = False
        self.permits: Callable[[str, str], bool] = lambda _verb, _name: True
        self.url = ""
        self.stored: dict[str, Stored] = {}
        self.sessions: dict[str, Session] = {}
        self.generation = 1_700_000_000_000_000

    def answer(self, asked: Asked) -> Answer:
        """Do what is asked."""
        if self.denied:
            return Answer.error(403, "someone@example.com does not have storage.objects access to the bucket.")
        for pattern, handle in self._routes():
            if match := pattern.fullmatch(asked.path):
                if match.group(1) != self.bucket:
                    return Answer.error(404, "The specified bucket does not exist.")
                return handle(asked, *match.groups()[1:])
        return Answer.error(404, f"Not Found: {asked.path}")

    def _routes(self) -> list[tuple[re.Pattern[str], Callable[..., Answer]]]:
        """Return what answers which path."""
        return [
            (OBJECT, self._object),
            (LISTING, self._list),
            (UPLOAD, self._upload),
            (BUCKET, self._describe),
        ]

    def _describe(self, _asked: Asked) -> Answer:
        """Answer about the bucket itself."""
        if self.restricted:
            return Answer.error(403, "someone@example.com does not have storage.buckets.get access.")
        return Answer.json(
            {
                "kind": "storage#bucket",
                "name": self.bucket,
                "location": "EUROPE-WEST1",
                "locationType": "region",
                "storageClass": "STANDARD",
                "versioning": {"enabled": True},
                "softDeletePolicy": {"retentionDurationSeconds": "604800"},
            }
        )

    def _object(self, asked: Asked, name: str) -> Answer:  # noqa: PLR0911 - one line an answer
        """Answer about one object."""
        there = self.stored.get(name)
        wanted = asked.query.get("generation")
        if there is None or (wanted and wanted != str(there.generation)):
            message = f"No such object: {self.bucket}/{name}"
            if asked.query.get("alt") == "media":
                return Answer(404, message.encode(), {"Content-Type": "text/html; charset=UTF-8"})
            return Answer.error(404, message)
        if refusal := self._precondition(asked.query, name):
            return refusal
        if not self.permits("delete" if asked.method == "DELETE" else "get", name):
            return Answer.error(403, "someone@example.com is not permitted to do this to the object.")
        if asked.method == "DELETE":
            if self.restricted:
                return Answer.error(403, "someone@example.com does not have storage.objects.delete access.")
            del self.stored[name]
            return Answer(204)
        if asked.query.get("alt") == "media":
            return self._media(asked, there)
        return Answer.json(self._resource(there))

    def _media(self, asked: Asked, there: Stored) -> Answer:
        """Answer with content."""
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Generation": str(there.generation),
            "X-Goog-Hash": ",".join(f"{k.removesuffix('Hash')}={v}" for k, v in there.hashes().items()),
            "X-Goog-Stored-Content-Length": str(len(there.data)),
        }
        if not (match := RANGE.fullmatch(asked.header("range"))):
            return Answer(200, there.data, headers)
        first, last = int(match.group(1)), int(match.group(2) or len(there.data) - 1)
        if first >= len(there.data):
            return Answer.error(416, "The requested range cannot be satisfied.")
        last = min(last, len(there.data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(there.data)}"
        return Answer(206, there.data[first : last + 1], headers)

    def _list(self, asked: Asked) -> Answer:
        """Answer with one page."""
        query = asked.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        if not self.permits("list", prefix):
            return Answer.error(403, "someone@example.com does not have storage.objects.list access.")
        start = max(query.get("startOffset", ""), unquote(query.get("pageToken", "")))
        size = min(self.page_size, int(query.get("maxResults", self.page_size)))
        found: list[Stored] = []
        folders: list[str] = []
        following = ""
        for name in sorted(n for n in self.stored if n.startswith(prefix) and n >= start):
            if len(found) + len(folders) == size:
                following = name
                break
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if cut and (folder := prefix + head + cut) not in folders:
                folders.append(folder)
            elif not cut:
                found.append(self.stored[name])
        page: dict[str, object] = {"kind": "storage#objects", "prefixes": folders}
        page["items"] = [self._resource(there) for there in found]
        return Answer.json(page | ({"nextPageToken": quote(following)} if following else {}))

    def _upload(self, asked: Asked) -> Answer:
        """Begin an upload, or take a whole one."""
        if "upload_id" in asked.query:
            return self._continue(asked, asked.query["upload_id"])
        if asked.query.get("uploadType") == "multipart":
            metadata, data = _parts(asked)
            return self._create(asked.query.get("name") or metadata["name"], data, metadata, asked.query)
        metadata = json.loads(asked.body or b"{}")
        if asked.method != "POST" or not (metadata.get("name") or asked.query.get("name")):
            return Answer.error(400, "Required")
        name = asked.query.get("name") or metadata["name"]
        if refusal := self._forbidden(name) or self._precondition(asked.query, name):
            return refusal
        upload_id = f"upload-{len(self.sessions)}"
        self.sessions[upload_id] = Session(name, metadata, asked.query)
        path = f"/upload/storage/v1/b/{self.bucket}/o?uploadType=resumable&upload_id={upload_id}"
        return Answer(200, b"", {"Location": self.url + path, "X-GUploader-UploadID": upload_id})

    def _continue(self, asked: Asked, upload_id: str) -> Answer:  # noqa: PLR0911 - one line an answer
        """Take the next part of a resumable upload."""
        session = self.sessions.get(upload_id)
        if session is None:
            return Answer.error(404, "No such upload")
        if asked.method == "DELETE":
            session.answer = session.answer or Answer(499)
            return Answer(499)
        if session.answer is not None:
            return session.answer
        match = SPAN.fullmatch(asked.header("content-range"))
        if match is None:
            return Answer.error(400, "Failed to parse Content-Range header.")
        first, last, total = match.groups()
        if first is not None:
            whole = len(asked.body) == int(last) - int(first) + 1
            if not whole and not asked.cut:
                return Answer.error(400, "The body is not as long as Content-Range says.")
            if int(first) > len(session.data):
                return Answer.error(503, f"The upload offset {first} exceeds the size already uploaded.")
            if total == "*" and len(asked.body) % (MIB // 4):
                return Answer.error(400, "Chunks must be multiples of 256 KiB.")
            session.data += asked.body[len(session.data) - int(first) :]
        if total != "*" and len(session.data) == int(total) and not asked.cut:
            hashes = dict(h.strip().split("=", 1) for h in asked.header("x-goog-hash").split(",") if h)
            known = {"crc32c": hashes.get("crc32c"), "md5Hash": hashes.get("md5")}
            metadata = session.metadata | {k: v for k, v in known.items() if v}
            session.answer = self._create(session.name, bytes(session.data), metadata, session.query)
            return session.answer
        return Answer(308, b"", {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {})

    def _create(self, name: str, data: bytes, metadata: dict[str, str], query: dict[str, str]) -> Answer:
        """Make an object if nothing speaks against it."""
        if refusal := self._forbidden(name) or self._precondition(query, name):
            return refusal
        crc32c = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        md5 = None
        if self.md5 or "md5Hash" in metadata:
            md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        for key, actual in (("crc32c", crc32c), ("md5Hash", md5)):
            if metadata.get(key, actual) != actual:
                return Answer.error(400, f"Provided {key} {metadata[key]!r} doesn't match calculated {actual!r}.")
        self.generation += 1
        self.stored[name] = Stored(name, data, self.generation, crc32c, md5)
        return Answer.json(self._resource(self.stored[name]))

    def _forbidden(self, name: str) -> Answer | None:
        """Refuse what the account may not do."""
        verbs = ("create", "delete") if name in self.stored else ("create",)
        if missing := [verb for verb in verbs if not self.permits(verb, name)]:
            return Answer.error(403, f"someone@example.com does not have storage.objects.{missing[0]} access.")
        if self.restricted and name in self.stored and name.rpartition("/")[2] != "HEAD":
            return Answer.error(403, "someone@example.com does not have storage.objects.delete access.")
        return None

    def _precondition(self, query: dict[str, str], name: str) -> Answer | None:
        """Refuse what does not hold."""
        there = self.stored.get(name)
        current = str(there.generation if there else 0)
        if query.get("ifGenerationMatch", current) != current:
            return Answer.error(412, "At least one of the pre-conditions you specified did not hold.")
        if query.get("ifGenerationNotMatch") == current:
            return Answer(304)
        return None

    def _resource(self, there: Stored) -> dict[str, str]:
        """Return an object as the API writes it."""
        return {
            "kind": "storage#object",
            "bucket": self.bucket,
            "name": there.name,
            "size": str(len(there.data)),
            "generation": str(there.generation),
            "metageneration": "1",
            **there.hashes(),
        }


def _parts(asked: Asked) -> tuple[dict[str, str], bytes]:
    """Return metadata and media of a multipart upload."""
    match = re.search(r'boundary="?([^";]+)', asked.header("content-type"))
    if match is None:
        raise ValueError("no boundary")
    mark = b"--" + match.group(1).encode()
    _, first, rest = asked.body.split(mark, 2)
    media = rest[: rest.rindex(mark)].removesuffix(b"\r\n")
    return json.loads(first.split(b"\r\n\r\n", 1)[1]), media.split(b"\r\n\r\n", 1)[1]
