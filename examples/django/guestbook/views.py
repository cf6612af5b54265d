"""One synchronous view, which Django runs in a thread, and one asynchronous, which runs on the event loop."""

from django.forms import ModelForm
from django.http import JsonResponse
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]


def index(request):
    """The guest book and its form."""
    form = EntryForm(request.POST or None)
    if form.is_valid():
        form.save()
        return redirect("index")
    return render(request, "guestbook/index.html", {"form": form, "entries": Entry.objects.all()[:100]})


async def entries(request):
    """The same as JSON."""
    found = [{"name": entry.name, "text": entry.text} async for entry in Entry.objects.all()[:100]]
    return JsonResponse({"entries": found})
