// The AWS Encryption SDK over our KMS: envelopes that it makes are opened by it, and by nobody else.
import assert from 'node:assert/strict';
import { buildClient, CommitmentPolicy, KmsKeyringNode } from '@aws-crypto/client-node';
import { KMS, CreateKeyCommand, CreateAliasCommand, DecryptCommand, DisableKeyCommand, EnableKeyCommand, ReEncryptCommand,
  RotateKeyOnDemandCommand } from '@aws-sdk/client-kms';

const conf = { endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION };
const kms = new KMS(conf); // the keyring calls its methods
const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const ring = (...keyIds) => new KmsKeyringNode({ clientProvider: () => kms, generatorKeyId: keyIds[0], keyIds: keyIds.slice(1) });
const opener = (...keyIds) => new KmsKeyringNode({ clientProvider: () => kms, keyIds });

async function newKey(alias) {
  const { KeyMetadata: { Arn } } = await kms.send(new CreateKeyCommand({ Description: alias }));
  await kms.send(new CreateAliasCommand({ AliasName: 'alias/' + alias, TargetKeyId: Arn }));
  return { arn: Arn, alias: Arn.replace(/key\/.*/, 'alias/' + alias) };
}

const one = await newKey('sdk-one'), two = await newKey('sdk-two'), other = await newKey('sdk-other');
const text = Buffer.from('a row that nobody else may read '.repeat(300));
const context = { table: 'flight_data', 'город': 'Псков' };

async function opens(message, keyring, encryptionContext = context) {
  const { plaintext, messageHeader } = await decrypt(keyring, message);
  assert.deepEqual(plaintext, text);
  for (const [name, value] of Object.entries(encryptionContext)) {
    assert.equal(messageHeader.encryptionContext[name], value);
  }
  return messageHeader;
}

async function seal(keyring) {
  return (await encrypt(keyring, text, { encryptionContext: context })).result;
}

// Neither the library's own refusals nor KMS's carry the plaintext: a refusal is any rejection, its cause in the text.
const refuses = (message, keyring, cause) => assert.rejects(decrypt(keyring, message), (e) => cause.test([e.message, ...(e.errors ?? []).map(String)].join('\n')));

const cases = {
  async 'round trip with context'() {
    await opens(await seal(ring(one.arn)), opener(one.arn));
  },

  async 'other key refused'() {
    await refuses(await seal(ring(one.arn)), opener(other.arn), /unencryptedDataKey has not been set|No EDKs/);
  },

  async 'two keys, either decrypts'() {
    const message = await seal(ring(one.arn, two.arn));
    const header = await opens(message, opener(one.arn));
    assert.equal(header.encryptedDataKeys.length, 2);
    await opens(message, opener(two.arn));
    await refuses(message, opener(other.arn), /unencryptedDataKey has not been set|No EDKs/);
  },

  async 'alias ARN'() {
    const header = await opens(await seal(ring(one.alias)), opener(one.arn));
    assert.equal(header.encryptedDataKeys[0].providerInfo, one.arn);
  },

  async 'tampering refused'() {
    const message = await seal(ring(one.arn));
    const at = [...Array(40).keys()].map((i) => Math.floor((i * message.length) / 40)).concat(message.length - 1);
    for (const i of at) {
      const bad = Buffer.from(message);
      bad[i] ^= 1;
      await assert.rejects(decrypt(opener(one.arn), bad), undefined, 'byte ' + i);
    }
    await assert.rejects(decrypt(opener(one.arn), message.subarray(0, message.length - 1)));
  },

  async 'old message after rotation'() {
    const old = await seal(ring(one.arn));
    await kms.send(new RotateKeyOnDemandCommand({ KeyId: one.arn }));
    await opens(old, opener(one.arn));
    await opens(await seal(ring(one.arn)), opener(one.arn));
  },

  async 'wrong context, wrong key'() {
    const message = await seal(ring(one.arn));
    const { encryptedDataKeys: [edk], encryptionContext } = await opens(message, opener(one.arn));
    const CiphertextBlob = edk.encryptedDataKey, EncryptionContext = { ...encryptionContext };
    const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext, KeyId: one.arn }));
    assert.equal(Plaintext.length, 32);
    for (const wrong of [{}, { ...EncryptionContext, table: 'flight_datA' }, { ...EncryptionContext, more: '' }]) {
      await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: wrong })), { name: 'InvalidCiphertextException' });
    }
    await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext, KeyId: other.arn })), { name: 'IncorrectKeyException' });
  },

  async 'ReEncrypt without SourceKeyId'() {
    const message = await seal(ring(one.arn));
    const { encryptedDataKeys: [edk], encryptionContext } = await opens(message, opener(one.arn));
    const was = { CiphertextBlob: edk.encryptedDataKey, EncryptionContext: { ...encryptionContext } };
    const moved = await kms.send(new ReEncryptCommand({ CiphertextBlob: was.CiphertextBlob, SourceEncryptionContext: was.EncryptionContext,
      DestinationKeyId: two.arn, DestinationEncryptionContext: { now: 'two' } }));
    assert.equal(moved.SourceKeyId, one.arn);
    assert.equal(moved.KeyId, two.arn);
    const before = await kms.send(new DecryptCommand(was));
    const after = await kms.send(new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { now: 'two' } }));
    assert.deepEqual(after.Plaintext, before.Plaintext);
    await assert.rejects(kms.send(new ReEncryptCommand({ CiphertextBlob: was.CiphertextBlob, DestinationKeyId: two.arn })), { name: 'InvalidCiphertextException' });
  },

  async 'disabled key refused'() {
    const message = await seal(ring(one.arn));
    await kms.send(new DisableKeyCommand({ KeyId: one.arn }));
    await refuses(message, opener(one.arn), /DisabledException|is disabled/);
    await assert.rejects(seal(ring(one.arn)), { name: 'DisabledException' });
    await kms.send(new EnableKeyCommand({ KeyId: one.arn }));
    await opens(message, opener(one.arn));
  },
};

for (const [name, run] of Object.entries(cases)) {
  await run();
  console.log('ok ' + name);
}
