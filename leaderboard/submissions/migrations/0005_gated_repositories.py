from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('benchmarks', '0001_initial'),
        ('submissions', '0004_quotas'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='submission',
            name='submission_is_one_kind',
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('api', ''), ('budget__isnull', True), ('checkpoint__regex', '^[a-z0-9][a-z0-9._-]{0,79}$'), ('commit', ''), ('hub__isnull', True), ('kind', 'checkpoint'), ('provider', ''), ('repo', ''), ('revision', ''), ('sealed_keys', {}), ('served_model', ''), ('url', '')), models.Q(('api', ''), ('budget__isnull', True), ('checkpoint', ''), ('commit__regex', '^[0-9a-f]{40}$'), ('hub__isnull', False), ('kind', 'hub'), ('provider', ''), ('repo__regex', '^[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$'), ('served_model', ''), ('url', '')), models.Q(('api__in', ['completions', 'chat']), ('checkpoint', ''), ('commit', ''), ('hub__isnull', True), ('kind', 'endpoint'), ('provider__in', ('', 'anthropic', 'cohere', 'databricks', 'deepseek', 'fireworks_ai', 'gemini', 'groq', 'hosted_vllm', 'mistral', 'openai', 'openrouter', 'perplexity', 'together_ai', 'xai')), ('repo', ''), ('revision', ''), ('served_model__regex', '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$'), ('url__regex', '^https?://')), _connector='OR'), name='submission_is_one_kind'),
        ),
    ]
