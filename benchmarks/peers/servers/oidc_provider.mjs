// The sign-in on oidc-provider, in memory; run as `node oidc_provider.mjs PORT`.
// PKCE is compulsory, tokens are signed with ES256, the access token is a JWT as on the others.
import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import bcrypt from 'bcrypt';
import * as oidc from 'oidc-provider';

const port = Number(process.argv[2]);
const RESOURCE = 'https://shop.example';
const hash = await bcrypt.hash('secret', 10);
const markKey = randomBytes(32);
const verified = new Set();

// bcrypt once, then the digest under a key of this process: as the other servers do it.
async function isRight(secret) {
  const mark = createHmac('sha256', markKey).update(hash + secret).digest('base64');
  if (!verified.has(mark) && await bcrypt.compare(secret, hash)) verified.add(mark);
  return verified.has(mark);
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: '1' };
const provider = new oidc.Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'client',
    client_secret: 'secret',
    redirect_uris: [`${RESOURCE}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    id_token_signed_response_alg: 'ES256',
  }],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [key] },
  scopes: ['openid', 'profile', 'email', 'agent'],
  pkce: { required: () => true },
  issueRefreshToken: async () => true,
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, model: 'm' }) }),
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => RESOURCE,
      useGrantedResource: async () => true,
      getResourceServerInfo: async () => ({
        scope: 'agent', audience: RESOURCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

// What a website's own login page would do, answered to the agent instead of to a form.
async function approve(request, response) {
  const { agent_id: accountId, agent_secret: secret } = await json(request);
  const interaction = await provider.Interaction.find(request.url.split('/')[2]);
  if (!interaction || !await isRight(secret)) return response.writeHead(401).end();
  const grant = new provider.Grant({ accountId, clientId: interaction.params.client_id });
  grant.addOIDCScope(interaction.params.scope);
  grant.addResourceScope(RESOURCE, 'agent');
  interaction.result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await interaction.save(interaction.exp - Math.floor(Date.now() / 1000));
  const body = JSON.stringify({ success: true, resume: interaction.returnTo });
  return response
    .writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
    .end(body);
}

const answer = provider.callback();
createServer((request, response) => (
  request.method === 'POST' && request.url.startsWith('/interaction/')
    ? approve(request, response) : answer(request, response)
)).listen(port, '127.0.0.1');
