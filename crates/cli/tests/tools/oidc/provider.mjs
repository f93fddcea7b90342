// An OpenID provider as others run it: client credentials, JWT access tokens for a resource, keys
// that rotate. Told what to do by lines on stdin; answers each with one line of JSON on stdout.
//
//   node provider.mjs FOLDER [REDIRECT_URI]   where FOLDER/node_modules holds the packages; with a
//            redirect address people can sign in, too: the client is `page`, and whoever comes is `ann`
//   rotate   a new key signs, the one before stays published
//   retire   only the newest key stays published
//   ann, bob whoever signs in from here on is this one
//   stop     nothing listens any more; start   the same port listens again
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const redirect = process.argv[3];
const resource = 'https://payouts.example/api';
const packages = join(resolve(process.argv[2]), 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(packages).href);

let number = 0;
let keys = [];
let answer;
let server;
let port = 0;
let account = 'ann';

function key() {
  number += 1;
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: `key-${number}`, use: 'sig', alg: 'RS256' };
}

function provide() {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'reporting',
      client_secret: 'only-for-tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }, ...(redirect ? [{
      client_id: 'page',
      client_secret: 'only-for-tests: the page',
      grant_types: ['authorization_code'],
      redirect_uris: [redirect],
      response_types: ['code'],
    }] : [])],
    scopes: ['openid', 'profile', 'Payouts.Read'],
    claims: { profile: ['name'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id[0].toUpperCase()}${id.slice(1)} of Contoso` }) }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys },
    cookies: { keys: ['only-for-tests'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'Payouts.Read',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  const callback = provider.callback();
  answer = (request, response) => {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    return signIn(provider, request, response).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  };
}

// Nobody is asked for a password: it is `account` who signs in, and agrees to everything.
async function signIn(provider, request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: account, clientId: params.client_id });
  grant.addOIDCScope('openid profile Payouts.Read');
  grant.addResourceScope(resource, 'Payouts.Read');
  const result = { login: { accountId: account }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

function listen() {
  return new Promise((done) => {
    server = createServer((request, response) => answer(request, response));
    server.listen(port, '127.0.0.1', () => {
      port = server.address().port;
      done();
    });
  });
}

const commands = {
  rotate() {
    keys = [key(), ...keys];
    provide();
  },
  retire() {
    keys = keys.slice(0, 1);
    provide();
  },
  stop() {
    return new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    });
  },
  start: listen,
  ann() {
    account = 'ann';
  },
  bob() {
    account = 'bob';
  },
};

const say = (event) => process.stdout.write(`${JSON.stringify({ event, port, kid: keys[0]?.kid })}\n`);

await listen();
commands.rotate();
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  await commands[line]();
  say(line);
}
process.exit(0);
