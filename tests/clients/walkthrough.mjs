// The KMS and S3 steps of the walk-through with the JavaScript SDK: buffers (signed payload) and streams (unsigned trailer).
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { randomBytes } from 'node:crypto';
import { KMSClient, CreateKeyCommand, CreateAliasCommand, DescribeKeyCommand, EncryptCommand, DecryptCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms';
import { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, DeleteObjectCommand,
  CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand } from '@aws-sdk/client-s3';

const conf = { endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION };
const kms = new KMSClient(conf);
const s3 = new S3Client({ ...conf, forcePathStyle: true });

const { KeyMetadata: key } = await kms.send(new CreateKeyCommand({ Description: 'from JavaScript' }));
await kms.send(new CreateAliasCommand({ AliasName: 'alias/js', TargetKeyId: key.KeyId }));
const described = await kms.send(new DescribeKeyCommand({ KeyId: 'alias/js' }));
assert.equal(described.KeyMetadata.Arn, key.Arn);
assert.equal(described.KeyMetadata.Description, 'from JavaScript');
const context = { purpose: 'test', 'ключ': 'значение' };
const sealed = await kms.send(new EncryptCommand({ KeyId: 'alias/js', Plaintext: Buffer.from('secret'), EncryptionContext: context }));
const opened = await kms.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: context }));
assert.equal(Buffer.from(opened.Plaintext).toString(), 'secret');
await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: { purpose: 'other' } })),
  { name: 'InvalidCiphertextException' });
const dk = await kms.send(new GenerateDataKeyCommand({ KeyId: key.Arn, KeySpec: 'AES_256' }));
assert.equal(dk.Plaintext.length, 32);
await assert.rejects(kms.send(new DescribeKeyCommand({ KeyId: 'alias/none' })), { name: 'NotFoundException' });

const Bucket = 'js-bucket';
await s3.send(new CreateBucketCommand({ Bucket }));
const body = randomBytes(3 * 1024 * 1024 + 17);
const sse = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'alias/js' };
const put = await s3.send(new PutObjectCommand({ Bucket, Key: 'buffer', Body: body, Metadata: { colour: 'blue' }, ...sse }));
assert.equal(put.SSEKMSKeyId, key.Arn);
await s3.send(new PutObjectCommand({ Bucket, Key: 'stream', Body: Readable.from([body]), ContentLength: body.length, ...sse }));
for (const Key of ['buffer', 'stream']) {
  const got = await s3.send(new GetObjectCommand({ Bucket, Key }));
  assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), body);
  const range = await s3.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=65530-131080' }));
  assert.deepEqual(Buffer.from(await range.Body.transformToByteArray()), body.subarray(65530, 131081));
}
assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: 'buffer' }))).Metadata.colour, 'blue');
const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'multi', ...sse }));
const parts = [randomBytes(5 * 1024 * 1024), randomBytes(1234)];
const Parts = [];
for (const [i, Body] of parts.entries()) {
  const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key: 'multi', UploadId, PartNumber: i + 1, Body }));
  Parts.push({ ETag, PartNumber: i + 1 });
}
await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'multi', UploadId, MultipartUpload: { Parts } }));
const multi = await s3.send(new GetObjectCommand({ Bucket, Key: 'multi' }));
assert.deepEqual(Buffer.from(await multi.Body.transformToByteArray()), Buffer.concat(parts));
const list = await s3.send(new ListObjectsV2Command({ Bucket }));
assert.deepEqual(list.Contents.map((o) => o.Key), ['buffer', 'multi', 'stream']);
await s3.send(new DeleteObjectCommand({ Bucket, Key: 'multi' }));
await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key: 'multi' })), { name: 'NoSuchKey' });
console.log('ok');
