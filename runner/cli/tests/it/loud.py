"""Prints what breaks readers, and its secrets in every form that programs print."""
import base64, html, json, os, shlex, sys, urllib.parse

out = sys.stdout.buffer
out.write(b"\x1b[31mred\x1b[0m \x1b]0;title\x07 NUL \0 bell \x07 invalid \xff\xfe\xc3( ]]> ]]]]>> <![CDATA[x]]> &#0; </testcase> \xef\xbf\xbe\xc2\x85 \r end\r\n")


def forms(text):
    raw = text.encode()
    yield text
    yield json.dumps(text)
    yield json.dumps(text, ensure_ascii=False)
    yield urllib.parse.quote(text, safe="")
    yield urllib.parse.quote_plus(text)
    for before in (b"", b"x", b"xy"):
        yield base64.b64encode(before + raw + b"zz").decode()
        yield base64.urlsafe_b64encode(before + raw).decode()
    yield raw.hex()
    yield raw.hex().upper()
    yield html.escape(text)
    yield shlex.quote(text)
    yield repr(text)


secrets = [os.environ["API_KEY"], open("/run/secrets/db_password").read()]
for secret in secrets:
    for form in forms(secret):
        out.write(b"at-the-start " + form.encode() + b"\n")
        # Where a terminal colours it, and where readers trip just before it.
        out.write(b"\x1b[1m" + form[:5].encode() + b"\x1b[0m" + form[5:].encode() + b"\n")
        out.write(b"\0\xff]]>" + form.encode() + b"]]>\xff\0\n")
out.write(b"all was said\n")
out.flush()
