// Who is signed in decides what is shown: the pages, or how to sign in.
import { useEffect, useRef, useState } from 'preact/hooks';
import { sessionChanged, whenSignedOut } from './api/client.js';
import { currentSession, hasLink, type Session, signIn, takeLink } from './api/session.js';
import { SignInPage } from './pages/sign-in/page.js';
import { Shell } from './shell.js';
import { Failure, Loading } from './ui/states.js';
import { forgetUnsaved } from './ui/unsaved.js';

type State =
  | { readonly is: 'starting' }
  | { readonly is: 'out'; readonly why?: string | undefined }
  | { readonly is: 'in'; readonly session: Session }
  | { readonly is: 'failed'; readonly error: Error };

export function App() {
  const [state, setState] = useState<State>({ is: 'starting' });
  const turn = useRef(0);
  const operator = useRef('');
  const become = (next: State) => {
    turn.current += 1;
    if (next.is === 'in') {
      // What one operator typed is not the next one's.
      if (operator.current !== next.session.operator) forgetUnsaved();
      operator.current = next.session.operator;
    }
    sessionChanged();
    setState(next);
  };
  const start = () => {
    become({ is: 'starting' });
    const own = turn.current;
    // A link that was opened since has an answer of its own.
    const answered = (next: State) => {
      if (turn.current === own) become(next);
    };
    enter().then(answered, (error: Error) => answered({ is: 'failed', error }));
  };
  useEffect(() => {
    // A call that was on its way while its operator signed out is refused after that: what he is told stays.
    whenSignedOut(() => setState((now) => (now.is === 'in' ? { is: 'out', why: 'Your session has ended.' } : now)));
    // A link that is opened in a tab that shows the page already. Other fragments are places in the page.
    addEventListener('hashchange', () => {
      if (hasLink()) start();
    });
    start();
  }, []);
  const out = state.is === 'out';
  useEffect(() => {
    if (!out) return;
    // Somebody who signs in in another tab comes back to where he was in this one.
    const look = () => {
      const own = turn.current;
      currentSession().then(
        (session) => {
          if (session !== undefined && turn.current === own) become({ is: 'in', session });
        },
        () => {},
      );
    };
    addEventListener('focus', look);
    return () => removeEventListener('focus', look);
  }, [out]);
  switch (state.is) {
    case 'starting':
      return <Loading what="Ringfence" />;
    case 'failed':
      return <Failure error={state.error} retry={start} />;
    case 'out':
      return <SignInPage why={state.why} />;
    case 'in':
      return (
        <Shell
          session={state.session}
          onSignedOut={() => {
            forgetUnsaved();
            become({ is: 'out', why: 'You have signed out.' });
          }}
        />
      );
  }
}

async function enter(): Promise<State> {
  const link = takeLink();
  if (link !== undefined) {
    try {
      return { is: 'in', session: await signIn(link) };
    } catch (error) {
      // A used link does not sign anybody out.
      const session = await currentSession();
      if (session !== undefined) return { is: 'in', session };
      return { is: 'out', why: error instanceof Error ? error.message : String(error) };
    }
  }
  const session = await currentSession();
  return session === undefined ? { is: 'out' } : { is: 'in', session };
}
