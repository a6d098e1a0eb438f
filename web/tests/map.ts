// What tests do with the map: point at nodes and edges where they are drawn.
import type { Page } from 'playwright-core';

interface Drawing extends HTMLElement {
  rfPlaceOf(key: string): { x: number; y: number } | undefined;
}

/** Frames that something stays where it is before it is pointed at: the picture that is asked what lies there is drawn by then too. */
const STILL_FRAMES = 6;

/** Where a node or an edge is drawn on the screen, once it is and stays there. */
export async function placeOf(page: Page, key: string): Promise<{ x: number; y: number }> {
  const drawing = page.getByTestId('map');
  await drawing.waitFor({ state: 'attached' });
  // Called once each frame.
  const handle = await page.waitForFunction(
    ({ wanted, frames }) => {
      const memory = window as unknown as { rfStill?: { place: string; frames: number } };
      const element = document.querySelector<Drawing>('[data-testid=map]');
      const box = element?.getBoundingClientRect();
      const at = element?.rfPlaceOf?.(wanted);
      const place = JSON.stringify([wanted, at, box]);
      const seen = memory.rfStill?.place === place ? memory.rfStill.frames + 1 : 0;
      memory.rfStill = { place, frames: seen };
      return at && box && seen >= frames ? { x: at.x + box.x, y: at.y + box.y } : undefined;
    },
    { wanted: key, frames: STILL_FRAMES },
  );
  return handle.jsonValue() as Promise<{ x: number; y: number }>;
}

export async function clickOn(page: Page, key: string): Promise<void> {
  const { x, y } = await placeOf(page, key);
  await page.mouse.click(x, y);
}

/** Opens a place and waits for its map. */
export async function openMap(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page
    .locator('.trail')
    .getByText(/\d nodes?,/)
    .waitFor();
}
