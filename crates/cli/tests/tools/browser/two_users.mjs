// Two users of two tenants, side by side: neither sees, opens, downloads or deletes what the other
// asked for.
import assert from 'node:assert/strict';
import { open, rows, scenario, signIn } from './drive.mjs';

await scenario(async () => {
  const [ann, bob] = [await open(), await open()];
  await signIn(ann, 'ann');
  await signIn(bob, 'bob');
  for (const page of [ann, bob]) {
    await page.getByText('No requests yet.').waitFor();
    await page.getByRole('button', { name: 'Ask for the file' }).click();
    await rows(page).first().getByText('Completed', { exact: true }).waitFor();
  }
  const ids = [];
  for (const page of [ann, bob]) {
    await page.goto('/');
    assert.equal(await rows(page).count(), 1);
    ids.push(await rows(page).first().getAttribute('data-id'));
  }
  assert.notEqual(ids[0], ids[1]);
  for (const [page, foreign] of [[ann, ids[1]], [bob, ids[0]]]) {
    for (const path of ['', '/download', '/manifest', '/delete']) {
      const answer = await page.request.get(`/exports/${foreign}${path}`, { maxRedirects: 0 });
      assert.equal(answer.status(), 404, `${path} of another user's request`);
      assert.ok(!(await answer.text()).includes('SHA-256'));
    }
    const csrf = await page.locator('input[name="csrf"]').first().inputValue();
    for (const path of ['/delete', '/again']) {
      const answer = await page.request.post(`/exports/${foreign}${path}`, {
        form: { csrf }, maxRedirects: 0, headers: { origin: new URL(page.url()).origin },
      });
      assert.equal(answer.status(), 404, `POST ${path} of another user's request`);
    }
    // Another one's token against forgery is worth nothing in this session.
    const other = page === ann ? bob : ann;
    const theirs = await other.locator('input[name="csrf"]').first().inputValue();
    const own = page === ann ? ids[0] : ids[1];
    const forged = await page.request.post(`/exports/${own}/delete`, {
      form: { csrf: theirs }, maxRedirects: 0, headers: { origin: new URL(page.url()).origin },
    });
    assert.equal(forged.status(), 400, 'the other session’s token');
    await page.goto('/');
    assert.equal(await rows(page).count(), 1);
  }
  // bob is granted one participant: nothing of the others is offered to him.
  await bob.locator('.pick-name', { hasText: /^Participants$/ }).click();
  const offered = await bob.locator('input[name="participant"]').evaluateAll((inputs) => inputs.map((input) => input.value));
  assert.deepEqual(offered.filter((value) => !value.includes('1000042')), []);
});
