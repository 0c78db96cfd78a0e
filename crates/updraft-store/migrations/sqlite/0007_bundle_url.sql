-- Where people look at the versions of a bundle: a template, and what fills it but for the version.
ALTER TABLE dag_bundle ADD COLUMN url_template TEXT;
ALTER TABLE dag_bundle ADD COLUMN template_params TEXT;
