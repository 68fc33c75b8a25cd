"""A server that speaks S3 (moto), with one bucket and one user who may use it; ends with its standard input.

Prints `{"port", "key", "secret"}`, then answers lines: `get KEY` with the length and SHA-256 of an object, `list` with all keys,
`uploads` with how many uploads in parts go on.
"""

import hashlib
import json
import logging
import os
import sys

# Calls without rights at the start: those of `prepare`. After them, signatures and rights are checked.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

BUCKET = "meetings"


def prepare(port):
    """Makes the bucket and the user."""
    client = connect(port, "nobody", "nobody")
    client("s3").create_bucket(Bucket=BUCKET)
    iam = client("iam")
    iam.create_user(UserName="server")
    rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="server", PolicyName="store", PolicyDocument=json.dumps(rights))
    return iam.create_access_key(UserName="server")["AccessKey"]


def connect(port, key, secret):
    """Makes clients."""
    return lambda service: boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def answer(s3, command, *words):
    """What a line asks for."""
    if command == "list":
        return [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    if command == "uploads":
        return len(s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))
    body = s3.get_object(Bucket=BUCKET, Key=words[0])["Body"].read()
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    made = prepare(port)
    key, secret = made["AccessKeyId"], made["SecretAccessKey"]
    s3 = connect(port, key, secret)("s3")
    print(json.dumps({"port": port, "key": key, "secret": secret}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(s3, *line.split())), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
