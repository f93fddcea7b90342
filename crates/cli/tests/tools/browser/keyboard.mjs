// The whole way by keyboard alone: sign in, choose, ask, watch, download, delete, sign out. Whatever has
// the focus can be seen and shows that it has it.
import assert from 'node:assert/strict';
import { api, keep, open, payouts, rows, saved, scenario } from './drive.mjs';

// More stops than any page has.
const STOPS_MAX = 300;

/** Goes on with Tab until what has the focus is wanted. */
async function reach(page, what, wanted, key = 'Tab') {
  for (let stops = 0; stops < STOPS_MAX; stops += 1) {
    await page.keyboard.press(key);
    const found = await page.evaluate(() => {
      const at = document.activeElement;
      const { width, height, top, bottom, left, right } = at.getBoundingClientRect();
      const { outlineStyle, boxShadow } = getComputedStyle(at);
      return {
        name: (at.getAttribute('aria-label') ?? (at.matches('input, select, textarea') ? '' : at.textContent)).trim().replace(/\s+/g, ' '),
        node: at.nodeName, id: at.id, field: at.name ?? '', value: at.value ?? '', inDialog: at.closest('dialog') !== null,
        row: at.closest('#rows > li')?.dataset.id ?? '',
        seen: width > 0 && height > 0 && bottom > 0 && right > 0 && top < innerHeight && left < innerWidth,
        marked: at.matches(':focus-visible') && (outlineStyle !== 'none' || boxShadow !== 'none'),
      };
    });
    if (found.node === 'BODY') continue;
    assert.ok(found.seen && found.marked, `not to be seen, or without a mark of the focus: ${JSON.stringify(found)}`);
    if (wanted(found)) return;
  }
  assert.fail(`Tab does not come to ${what}`);
}

await scenario(async () => {
  const page = await open();
  await page.goto('/');
  await reach(page, 'the user', ({ node, name }) => node === 'BUTTON' && name.startsWith('ann'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'New export' }).waitFor();
  await page.locator('#controls:not([data-looking])').waitFor();

  await reach(page, 'the period', ({ id }) => id === 'period');
  await page.keyboard.type('Last 36');
  assert.equal(await page.locator('#period').inputValue(), '36-months');
  await reach(page, 'the status', ({ node, name }) => node === 'SUMMARY' && name.startsWith('Payment status'));
  await page.keyboard.press('Enter');
  await reach(page, 'SENT', ({ field, value }) => field === 'value.paymentStatus' && value === 'SENT');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => document.querySelector('#filter').value.includes("'SENT'"));
  const preview = page.getByRole('region', { name: 'Preview' });
  await preview.getByRole('table').first().waitFor();

  await reach(page, 'the button that asks', ({ name }) => name === 'Ask for the file');
  await page.keyboard.press('Enter');
  const row = rows(page).first();
  await row.getByText('Completed', { exact: true }).waitFor();
  const id = await row.getAttribute('data-id');

  await reach(page, 'the download', (at) => at.row === id && at.name.startsWith('Download'));
  const file = await saved(page, () => page.keyboard.press('Enter'));
  const manifest = keep('manifest.json', await (await api('GET', `/payments/${id}/manifest`)).text());
  payouts('verify', file.path, '--manifest', manifest);

  const menu = (name) => async () => {
    await reach(page, 'the menu', (at) => at.row === id && at.node === 'SUMMARY' && at.name.startsWith('More'), 'Shift+Tab');
    await page.keyboard.press('Enter');
    await reach(page, name, (at) => at.row === id && at.name.startsWith(name));
    await page.keyboard.press('Enter');
  };
  // Behind the menu, from where one goes back to it.
  await reach(page, 'the menu', (at) => at.row === id && at.node === 'SUMMARY');
  await page.keyboard.press('Tab');
  const askToDelete = menu('Delete');
  await askToDelete();
  const dialog = page.getByRole('dialog', { name: 'Delete this request?' });
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await row.waitFor();
  await page.keyboard.press('Tab');
  await askToDelete();
  await dialog.waitFor();
  await reach(page, 'the answer', (at) => at.inDialog && at.name.startsWith('Delete'));
  await page.keyboard.press('Enter');
  await page.locator(`#rows > li[data-id="${id}"]`).waitFor({ state: 'detached' });

  await reach(page, 'the way out', ({ name }) => name === 'Sign out', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  keep('done', '');
});
