// Every page and state: no violation of accessibility, nothing wider than the window, in light, dark
// and on a narrow screen. The service finishes one export, fails the second, never ends the third
// and queues the rest.
import { accessible, ask, fits, open, rows, scenario, shot, signIn, until } from './drive.mjs';

const LOOKS = [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['narrow', { colorScheme: 'light', viewport: { width: 360, height: 780 } }],
];

async function look(name, options, ids) {
  const state = async (page, what, picture = {}) => {
    // While a preview is on its way the old one is faded; what is looked at is what stays.
    await page.locator('[aria-busy="true"], [data-looking]').waitFor({ state: 'detached' });
    await accessible(page, `${what}, ${name}`);
    await fits(page, `${what}, ${name}`);
    // What sticks to the window is where it is at the beginning of a whole page.
    if (picture.fullPage) await page.evaluate('scrollTo(0, 0)');
    await shot(page, `${what.replaceAll(' ', '-')}-${name}`, picture);
  };
  const page = await open(options);
  await page.goto('/');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await state(page, 'sign in');

  // Nothing asked for yet.
  const bob = await open(options);
  await signIn(bob, 'bob');
  await bob.getByText('No requests yet.').waitFor();
  await state(bob, 'no requests', { fullPage: true });

  // The form with its preview, and a list with every status in it.
  await signIn(page, 'ann');
  for (const status of ['Queued', 'Processing', 'Failed', 'Completed']) {
    await rows(page).getByText(status, { exact: true }).first().waitFor();
  }
  await page.getByRole('region', { name: 'Preview' }).getByRole('table').first().waitFor();
  await state(page, 'home', { fullPage: true });
  await page.locator('#requests').scrollIntoViewIfNeeded();
  await page.locator(`#rows > li[data-id="${ids.completed}"]`).getByText('More').click();
  await state(page, 'menu of a request');
  await page.keyboard.press('Escape');

  // Everything of the form open.
  await page.evaluate('document.querySelectorAll("details.pick").forEach((d) => { d.open = true; })');
  await page.locator('#format').selectOption('csv.excel');
  await page.locator('#signs').waitFor();
  await state(page, 'form all open', { fullPage: true });
  await page.locator('#use-filter').check();
  await page.locator('#filter').fill("paymntAmount ge 2000 and paymentStatus eq 'SENT'");
  await page.locator('#filter-place:not([hidden])').waitFor();
  await state(page, 'filter with an error');

  // The other report.
  await page.goto('/?report=transactionhistory');
  await page.getByRole('region', { name: 'Preview' }).getByRole('table').first().waitFor();
  await state(page, 'earnings', { fullPage: true });

  // Narrowed to nothing.
  await page.goto('/?list.text=nothing-has-this#requests');
  await page.getByText('No request fits.').waitFor();
  await page.getByRole('region', { name: 'Preview' }).getByRole('table').first().waitFor();
  // The preview has grown above it, and what the address names is still in view.
  await page.waitForFunction(() => document.querySelector('#list-part .empty').getBoundingClientRect().bottom <= innerHeight);
  await state(page, 'narrowed to nothing');

  // One request: ended well, ended badly, not ended; deleting it; one that is not there.
  for (const [what, id] of Object.entries(ids)) {
    await page.goto(`/exports/${id}`);
    await page.locator('#rows > li').first().waitFor();
    await state(page, `details ${what}`, { fullPage: true });
  }
  await page.goto(`/exports/${ids.completed}`);
  await page.locator('#rows').getByText('More').click();
  await page.locator('#rows').getByRole('link', { name: 'Delete' }).click();
  await page.getByRole('dialog').waitFor();
  await state(page, 'delete dialog');
  await page.goto(`/exports/${ids.completed}/delete`);
  await page.getByRole('heading', { name: 'Delete this request?' }).first().waitFor();
  await state(page, 'delete page');
  await page.goto('/exports/00000000-0000-4000-8000-000000000000');
  await page.getByRole('link', { name: 'To your requests' }).waitFor();
  await state(page, 'not found');

  // No connection.
  await page.goto('/');
  await rows(page).first().waitFor();
  await page.context().setOffline(true);
  await page.locator('#offline:not([hidden])').waitFor();
  await page.locator('#requests').scrollIntoViewIfNeeded();
  await page.locator('#offline').evaluate((note) => note.scrollIntoView({ block: 'center' }));
  await state(page, 'offline');
  await page.context().setOffline(false);
  await page.locator('#offline[hidden]').waitFor({ state: 'attached' });

  // Problems as a page without JavaScript says them.
  const plain = await open({ ...options, javaScriptEnabled: false });
  await signIn(plain, 'ann');
  await plain.locator('#advanced summary').click();
  await plain.locator('#use-filter').check();
  await plain.locator('#filter').fill('paymntAmount ge 2000');
  await plain.getByRole('button', { name: 'Ask for the file' }).click();
  await plain.locator('#problems').waitFor();
  await state(plain, 'problems without script', { fullPage: true });
  for (const each of [page, bob, plain]) await each.context().close();
}

await scenario(async () => {
  const completed = await ask("paymentStatus eq 'SENT' and paymentDate ge 2026-01-01", 'xlsx');
  await until(completed, 'Completed');
  const failed = await ask('paymentAmount ge 1000', 'csv.zip');
  await until(failed, 'Failed');
  const processing = await ask('paymentAmount ge 0', 'csv');
  await until(processing, 'Processing');
  const queued = await ask('paymentAmount lt 0', 'csv.excel');
  for (const [name, options] of LOOKS) await look(name, options, { completed, failed, processing, queued });
});
