import { problem } from './problem.ts'

export const NameTaken = problem(409, 'name-taken', 'Name taken', {
  detail: 'The name is taken. Names that differ only in case, Unicode form or spaces are the same.',
  causes:
    'You already have a credential or project with this name, or there is a credential type with this ' +
    'name, of any user.',
  help: 'Choose another name, or rename or delete the resource that has this one.'
})
export const AmbiguousName = problem(409, 'ambiguous-name', 'Ambiguous name', {
  detail: 'The name does not identify one resource.',
  causes:
    'Several credentials or projects have this name, or the project was created by another user: you can ' +
    'use only the names of projects that you created.',
  help: 'Send the id instead of the name.'
})
export const ExternalIdTaken = problem(409, 'external-id-taken', 'External id taken', {
  detail: 'You already have a credential with this external id.',
  causes:
    'Only the Lightning-compatible API sets external ids, and it returns this conflict as 422 in the ' +
    'format of Lightning.',
  help: 'Choose another external id, or delete the credential that has this one.'
})
export const EmailTaken = problem(409, 'email-taken', 'E-mail address taken', {
  detail: 'Another user has this e-mail address.',
  causes:
    'The address belongs to another user, perhaps a disabled one. E-mail addresses are case-insensitive.',
  help: 'Use another address, or change the address of the other user.'
})
export const MainEnvironment = problem(409, 'main-environment', 'Main environment', {
  detail: 'The environment `main` cannot be deleted.',
  causes: 'The request deletes `main`, the default environment.',
  help: 'Delete the credential, or clear values of `main` by updating it.'
})
export const TooManyEnvironments = problem(409, 'too-many-environments', 'Too many environments', {
  detail: 'A credential has at most 32 environments.',
  causes: 'The request would add another environment to a credential that has 32.',
  help: 'Delete an environment that is not used, or create another credential.'
})
export const TooManyUsages = problem(409, 'too-many-usages', 'Too many usages', {
  detail: 'A credential has at most 10,000 usages.',
  causes: 'Consumers register usages and do not delete them.',
  help: 'Delete the usages of consumers that no longer depend on the credential.'
})
export const TooManyMembers = problem(409, 'too-many-members', 'Too many members', {
  detail: 'A project has at most 1,000 members.',
  causes: 'The project has 1,000 members.',
  help: 'Remove members who no longer need the project, or create another one.'
})
export const TokenRevoked = problem(409, 'token-revoked', 'Token revoked', {
  detail: 'The token that was created with this `Idempotency-Key` is no longer valid.',
  causes: 'The request repeats an earlier one whose token has been revoked or has expired.',
  help: 'Create another token, with a new `Idempotency-Key`.'
})
export const TooManyTypes = problem(409, 'too-many-types', 'Too many types', {
  detail: 'A user has at most 200 credential types.',
  causes: 'You own 200 credential types.',
  help: 'Delete types that are not used.'
})
export const TypeInUse = problem(409, 'type-in-use', 'Type in use', {
  detail: 'Credentials of this type prevent the change; `usageCount` is their number.',
  causes:
    'The request deletes a type that has credentials, would make their values invalid, or would change ' +
    'the meaning of credentials of other users.',
  help:
    'If `errors` lists fields, undo those changes, or change the credentials first. You can delete a type ' +
    'once it has no credentials.'
})
export const CredentialInUse = problem(409, 'credential-in-use', 'Credential in use', {
  detail: 'The `consumers` depend on this credential.',
  causes: 'Programs have registered usages of the credential, so it cannot be deleted.',
  help:
    'Change the consumers, then delete their usages with ' +
    '`DELETE /api/v1/app-credentials/{id}/usages/{consumer}`.'
})
export const NewOwnerMayNotLink = problem(409, 'new-owner-may-not-link', 'Transfer not possible', {
  detail: 'The credential cannot be transferred to this address.',
  causes:
    'No user who can sign in has the address, or the user is not an editor or above in each of the ' +
    '`projects`, or already has a credential with the same name or external id.',
  help:
    'Check the address. Add the user to each of the `projects` as an editor or above, or rename the ' +
    'credential.'
})
export const UserOwnsCredentials = problem(409, 'user-owns-credentials', 'User owns credentials', {
  detail: 'The user still owns credentials.',
  causes: 'The request deletes a user who owns credentials, which would be left without an owner.',
  help: 'Ask the user to transfer or delete them first, or disable the user instead.'
})
export const LastOwner = problem(409, 'last-owner', 'Last owner', {
  detail: 'A project needs at least one owner.',
  causes: 'The request removes, demotes or deletes the only owner of a project.',
  help: 'Make another member an owner first.'
})
export const LastAdministrator = problem(409, 'last-administrator', 'Last administrator', {
  detail: 'The service needs at least one administrator who can sign in.',
  causes: 'The request deletes, disables or demotes the only administrator who can sign in.',
  help: 'Make another user an administrator first.'
})
export const AlreadyMember = problem(409, 'already-member', 'Already a member', {
  detail: 'The user is already a member of the project.',
  causes: 'The user was added before, perhaps with another role.',
  help: 'Change the role of the member instead.'
})
