// The page's beginning.
import { render } from 'preact';
import './ui/theme.css';
import './ui/ui.css';
import './shell.css';
import { App } from './app.js';
import { applyAppearance } from './ui/appearance.js';

applyAppearance();
const root = document.getElementById('root');
if (root !== null) render(<App />, root);
