// A certified OpenID provider (oidc-provider) on this machine, for `make test-idp`.
//
// node provider.mjs FOLDER: FOLDER/node_modules holds the package. Prints one JSON line once it
// answers, and for each line it reads changes its keys and prints the new key's id.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const found = createRequire(`${folder}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));

const secret = randomBytes(24).toString('hex');
const groups = { 'steward-pat': ['data-stewards'] };

function key() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = randomBytes(6).toString('hex');
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

function provider(issuer, jwk) {
  return new Provider(issuer, {
    jwks: { keys: [jwk] },
    cookies: { keys: [secret] },
    clients: [
      {
        client_id: 'agent-reporting',
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'maskgate-cli',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    extraTokenClaims: (_, token) => ({ groups: groups[token.accountId] ?? [] }),
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: { AccessToken: 600, ClientCredentials: 600, DeviceCode: 600 },
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true, charset: 'base-20', mask: '****-****' },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://nobody.example.org',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'query',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
}

const server = createServer((request, response) => current.callback()(request, response));
server.listen(0, '127.0.0.1');
await new Promise((done) => server.once('listening', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
let current = provider(issuer, key());
console.log(JSON.stringify({ issuer, secret }));
for await (const _ of createInterface({ input: process.stdin })) {
  const next = key();
  current = provider(issuer, next);
  console.log(JSON.stringify({ kid: next.kid }));
}
