// Answers that come late, early or in another order: what the page shows in the end is what there is.
// Every request of the page can be held here until something else has happened. The service makes
// one export at a time, and the first never ends: whatever is behind it waits until it is deleted.
import assert from 'node:assert/strict';
import { api, ask, open, rows, scenario, signIn, until } from './drive.mjs';

/** Holds the page's next request to a path: `taken` when it was made, `release` lets it go on. */
async function held(page, path, how) {
  const [taken, release] = [signal(), signal()];
  let next = true;
  await page.route((url) => url.pathname === path, async (route) => {
    if (!next) return route.fallback();
    next = false;
    taken.give();
    return how(route, release.given);
  });
  return { taken: taken.given, release: release.give };
}

function signal() {
  let give;
  const given = new Promise((resolve) => { give = resolve; });
  return { give, given };
}

/** The service answers at once, and the page hears of it late. */
const answerHeld = async (route, released) => {
  const response = await route.fetch();
  await released;
  await route.fulfill({ response });
};

/** The service hears of it late. */
const requestHeld = async (route, released) => {
  await released;
  await route.continue();
};

const row = (page, id) => page.locator(`#rows > li[data-id="${id}"]`);
const completed = (page, id) => row(page, id).getByText('Completed', { exact: true });

await scenario(async () => {
  const stuck = await ask('paymentAmount ge 0', 'csv');
  await until(stuck, 'Processing');
  const page = await open();
  // What streams there are, and how many events came.
  await page.addInitScript(() => {
    window.streams = [];
    window.events = 0;
    const Stream = window.EventSource;
    window.EventSource = class extends Stream {
      constructor(...of) {
        super(...of);
        window.streams.push(this);
        this.addEventListener('list', () => { window.events += 1; });
      }
    };
  });
  await signIn(page, 'ann');
  await row(page, stuck).getByText('Processing', { exact: true }).waitFor();
  await page.getByRole('region', { name: 'Preview' }).getByRole('table').first().waitFor();

  // The list that follows asking is older than what a stream has said by the time that it comes.
  const list = await held(page, '/parts/list', answerHeld);
  await page.getByRole('button', { name: 'Ask for the file' }).click();
  await list.taken;
  const asked = (await listed()).value.map((item) => item.requestId).find((id) => id !== stuck);
  await api('DELETE', `/payments/${stuck}`);
  await until(asked, 'Completed');
  await page.waitForFunction((id) => window.streams.every((stream) => stream.readyState === EventSource.CLOSED)
    || document.querySelector(`#rows > li[data-id="${id}"]`)?.dataset.status === 'Completed', asked);
  list.release();
  await completed(page, asked).waitFor();
  await row(page, stuck).waitFor({ state: 'detached' });

  // The stream begins after everything has happened.
  const late = await open();
  const stream = await held(late, '/live', requestHeld);
  await signIn(late, 'ann');
  await stream.taken;
  const unseen = await ask('paymentAmount lt 10', 'csv');
  await until(unseen, 'Completed');
  stream.release();
  await completed(late, unseen).waitFor();

  // The answer to asking comes when the file is there already.
  const answer = await held(late, '/exports', answerHeld);
  await late.getByRole('button', { name: 'Ask for the file' }).click();
  await answer.taken;
  await late.waitForFunction(() => document.querySelectorAll('#rows > li[data-status="Completed"]').length === 3);
  answer.release();
  await late.getByText('Asked for.').waitFor();
  assert.equal(await rows(late).count(), 3);
  await late.context().close();

  // What is under the pointer stays there while it is pressed, and nothing of it is lost.
  await page.waitForFunction((id) => document.querySelector('#rows > li').dataset.id === id, (await listed()).value[0].requestId);
  const more = row(page, asked).locator('summary');
  await more.scrollIntoViewIfNeeded();
  const box = await more.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const before = await page.evaluate('window.events');
  await page.mouse.down();
  const above = await ask('paymentAmount lt 20', 'csv');
  await page.waitForFunction((n) => window.events > n, before);
  await page.mouse.up();
  await row(page, asked).getByRole('link', { name: 'Copy as curl' }).waitFor();
  await completed(page, above).waitFor();
  // And a menu that is open stays open when its row changes.
  assert.ok(await row(page, asked).getByRole('link', { name: 'Copy as curl' }).isVisible());
  await page.keyboard.press('Escape');

  // Two things that are said at once are both there to be read.
  await page.evaluate(() => { window.payouts.tell('The one thing.'); window.payouts.tell('The other thing.'); });
  await page.getByText('The one thing.').waitFor();
  await page.getByText('The other thing.').waitFor();

  // A preview that is given up for a filter with an error in it leaves nothing that waits for it.
  const panel = await held(page, '/preview/panel', requestHeld);
  await page.locator('#period').selectOption('36-months');
  await panel.taken;
  await page.locator('#advanced summary').click();
  await page.locator('#filter').fill('paymntAmount ge 2000');
  await page.locator('#filter-place:not([hidden])').waitFor();
  await page.locator('#preview:not([aria-busy="true"])').waitFor();
  assert.equal(await page.locator('#panel table').count(), 0, 'the preview is that of another choice');
  panel.release();
  await page.locator('#filter').fill('paymentAmount ge 2000');
  await page.locator('#panel').getByRole('table').first().waitFor();

  // No connection, however the news of it are ordered: as long as there is none the page says so.
  await page.context().setOffline(true);
  await page.locator('#offline:not([hidden])').waitFor();
  const meanwhile = await ask('paymentAmount lt 30', 'csv');
  await until(meanwhile, 'Completed');
  assert.equal(await page.locator('#offline:not([hidden])').count(), 1);
  await page.context().setOffline(false);
  await completed(page, meanwhile).waitFor();
  await page.locator('#offline[hidden]').waitFor({ state: 'attached' });

  // More than one page: whatever is pushed off the first is on the second.
  while ((await listed()).totalCount < 50) await ask('paymentAmount lt 1', 'csv');
  await page.waitForFunction(() => document.querySelectorAll('#rows > li').length === 50);
  assert.equal(await page.getByRole('link', { name: 'Older requests' }).count(), 0);
  await ask('paymentAmount lt 1', 'csv');
  await page.getByRole('link', { name: 'Older requests' }).waitFor();
  await ask('paymentAmount lt 2', 'csv');
  await page.locator('#count').getByText('52 requests').waitFor();
  const first = await ids();
  await page.getByRole('link', { name: 'Older requests' }).click();
  await page.getByRole('link', { name: 'To the newest' }).waitFor();
  const all = [...first, ...await ids()];
  assert.equal(new Set(all).size, 52, `${all.length} rows on both pages`);

  async function ids() {
    return rows(page).evaluateAll((all) => all.map((each) => each.dataset.id));
  }
});

async function listed() {
  return (await api('GET', '/payments')).json();
}
